"""The training step that both engines share, for K runs in lock step.

Losses → backward → transformed gradient → optimizer step → divergence test → signals. The engines
differ in how they compute losses and where they store weights: `single` trains one `nn.Module`,
`stack` trains K networks whose tensors have a leading axis of K.

The host synchronises with the GPU only on logged steps. Until then a diverged run is frozen at its
last finite weights, and the update that broke it stays on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cvtrain.config.schema import Config
from cvtrain.gradients.stacked_number import column
from cvtrain.gradients.transform import transform_gradients
from cvtrain.process.signals import interruption
from cvtrain.runs.writer import RunWriter
from cvtrain.training.complex_share import TAG, complex_share
from cvtrain.training.ema import WeightAverage
from cvtrain.training.module_state import ModuleState, RunState
from cvtrain.training.run_status import clones, free_to_read, put_back
from cvtrain.training.signals import histograms, measure_weights
from cvtrain.training.stacking import stack_numbers
from cvtrain.training.task import Task
from cvtrain.training.update import Update, evaluates_often, where_runs


@dataclass(frozen=True)
class TrainingSettings:
    """Where a `TrainingModule` records its results, and the states from which it continues.

    Attributes:
        recorder: writes the rows of signals.
        save: function that writes the checkpoints of the runs, between two updates.
        progressed: function that is called after each update with the number of updates made.
        earlier: states of the K runs from which to continue; empty: the runs begin.
    """

    recorder: RunWriter
    save: Callable[[TrainingModule], None]
    progressed: Callable[[int], None]
    earlier: Sequence[RunState] = ()


class TrainingModule(ModuleState):
    """Trains K runs whose configurations differ only in numbers.

    Args:
        configs: configurations of the K runs.
        task: data, network, loss and metrics of all runs.
        settings: where rows, checkpoints and progress go, and the states to continue from.

    Attributes:
        ended_early: whether a callback stopped the Trainer before the last update.
    """

    def __init__(self, configs: Sequence[Config], task: Task, settings: TrainingSettings) -> None:
        super().__init__(configs, task)
        self.settings = settings
        self.ended_early = False
        self._numbers = stack_numbers(configs)
        self._update: Update | None = None
        self._breaking: Update | None = None
        self._leaves = False
        self._previous: dict[str, Tensor] = {}
        self._previous_buffers: dict[str, Tensor] = {}

    # Hooks that the Trainer calls.

    def train_dataloader(self) -> range:
        """Batch numbers; the batches themselves are gathered on the device."""
        first = self.settings.earlier[0].step if self.settings.earlier else 0
        accumulated = self.trainer.accumulate_grad_batches
        return range(first * accumulated, self.config.max_steps * accumulated)

    def on_fit_start(self) -> None:
        """Ensure that at least one update is made: Lightning would skip the end of a training that
        a callback ended before it began."""
        self.trainer.should_stop = False

    def on_train_start(self) -> None:
        """Start averages of the weights, and load the states to continue from."""
        if self._numbers.decay is not None:
            decay = self._numbers.decay
            self.average = WeightAverage(self.weights(), self.network_buffers(), decay)
        if self.settings.earlier:
            self.load_run_states(self.settings.earlier)

    def on_train_batch_start(self, batch: int, batch_idx: int) -> None:
        """Validate the weights before the update, if a validation is due."""
        first = batch_idx % self.trainer.accumulate_grad_batches == 0
        step = self.trainer.global_step
        if batch // self.trainer.accumulate_grad_batches != step:
            raise RuntimeError(
                f"batch {batch} comes at step {step}: a callback left the epoch, or changed"
                " trainer.accumulate_grad_batches"
            )
        if first:
            self._previous_buffers = clones(self.network_buffers())
        if first and step % self.config.signals.validation_every == 0:
            self.end_diverged()
            self.validations.observe(step, self.judged_state())
            self._stop_early(step)

    def training_step(self, batch: int, batch_idx: int) -> Tensor:
        """The sum of the K objectives: each run's gradient is that of its own objective."""
        losses = self.batch_losses(batch)
        if losses.is_complex():
            raise TypeError("the loss is complex; a loss that is minimised is real")
        accumulated = self.trainer.accumulate_grad_batches
        share = losses.detach() if accumulated == 1 else losses.detach() / accumulated
        if self._update is None:
            self._update = Update(share)
        elif not self._update.gradients:
            self._update.losses = self._update.losses + share
        return (column(self._numbers.scale, losses) * losses).sum()

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Make one update; while the optimizer runs, `p.grad` is the transformed gradient.

        The closure may run several times (L-BFGS). Its first evaluation is recorded, the one at the
        weights before the update.
        """
        assert optimizer_closure is not None
        step = self.trainer.global_step
        self._previous = self.weights_before_update()
        autograd: dict[str, Tensor] = {}
        transformed: dict[str, Tensor] = {}

        def transforming_closure() -> Any:
            nonlocal autograd, transformed
            objective = optimizer_closure()
            autograd = self.gradients()
            transformed, coefficient = transform_gradients(
                autograd, self._numbers.convention, self._numbers.clip
            )
            update = self._update
            assert update is not None
            if not update.gradients:
                update.weights = self._previous
                overwritten = evaluates_often(optimizer)
                update.gradients = clones(autograd) if overwritten else autograd
                update.transformed = clones(transformed) if overwritten else transformed
                update.coefficient = coefficient
            self.put_gradients(transformed, autograd)
            return objective

        optimizer.step(closure=transforming_closure)
        self.put_gradients(autograd, transformed)
        assert self._update is not None
        self.after_update(step, self._update)
        self._update = None

    def on_train_batch_end(self, outputs: Any, batch: int, batch_idx: int) -> None:
        """Save checkpoints when due; end training if a signal asked for it or every run ended."""
        if not self.between_updates:
            return
        step = self.trainer.global_step
        self.settings.progressed(step)
        every = self.config.checkpoint.every_n_steps
        recorder = self.settings.recorder
        # Read once: a signal may come at any moment, and a run must leave with the state that was
        # saved. After the last update it is too late to leave: only the last row is missing.
        lost = self.config.on_error == "stop" and bool(recorder.lost)
        asked = self.asked_to_stop or self.config.pauses(step) or lost
        asked_to_stop = asked and step < self.config.max_steps
        if asked_to_stop or (every is not None and step % every == 0):
            self.end_diverged()
            if step < self.config.max_steps:
                self.settings.save(self)
        self._leaves = asked_to_stop or not recorder.records(self.statuses.surviving)
        if self._leaves:
            self.trainer.should_stop = True

    def on_train_end(self) -> None:
        """Write the last row of the surviving runs: weights, validation, test, convergence.

        Written here because Lightning moves the module to the CPU right afterwards. Diverged and
        interrupted runs have no such row. A run that a callback ended gets it at its last update,
        as with early stopping.
        """
        self.end_diverged()
        step, runs = self.trainer.global_step, self.statuses.surviving
        if self._leaves or not runs:
            return
        last = self._weight_signals() | self.validations.finish(step, self.judged_state())
        self.write(step, last, runs, last=True)
        if step < self.config.max_steps:
            self.ended_early = True
            self.statuses.stop(runs, step)

    @property
    def asked_to_stop(self) -> bool:
        """Whether a signal asks to end training after this step."""
        return interruption.requested is not None

    @property
    def between_updates(self) -> bool:
        """Whether no batch has been accumulated for the next update."""
        return self._update is None

    def write(
        self, step: int, signals: Mapping[str, Tensor], runs: Sequence[int], last: bool = False
    ) -> None:
        """Write a row of some of the runs, which may be their `last` one."""
        self.settings.recorder.write(step, signals, runs)

    # After an update: signals, and the runs that end with it.

    def after_update(self, step: int, update: Update) -> None:
        """Record what is due, and freeze the runs that diverged with this update."""
        update.next_weights = self.weights()
        rates = self.trainer.optimizers[0].param_groups[0]["lr"]
        update.rates = column(rates, update.losses).expand(self.members)
        newly = self.latch.observe(step, update.losses, update.sum_of_all())
        at_once = free_to_read(newly)
        if at_once:
            self._breaking = update
        else:
            self._breaking = where_runs(newly, update, self._breaking or update)
        validation = self.validations.signals(step)
        histograms_every = self.config.signals.histograms_every or 0
        draws = histograms_every > 0 and step % histograms_every == 0
        due = step % self.config.signals.scalars_every == 0 or bool(validation)
        signals = self._signals(update) | validation if due else {}
        if at_once or due or draws:
            self.end_diverged()
        if not at_once or len(self.statuses.surviving) < self.members:
            self._restore_frozen()
        if self.average is not None:
            self.average.update(self.weights(), self.network_buffers(), self._frozen, step + 1)
        surviving, recorder = self.statuses.surviving, self.settings.recorder
        if due and surviving:
            self.write(step, signals, surviving)
        if draws:
            drawn = histograms("grad", update.gradients) | histograms("weight", self._previous)
            recorder.histograms(step, drawn, self.statuses.with_update(step))

    def end_diverged(self) -> None:
        """Write the last rows of the runs that diverged since the last call."""
        diverged = self.latch.take()
        if not diverged:
            return
        assert self._breaking is not None
        signals = self._signals(self._breaking)
        # A run that early stopping ended may diverge later; that is not recorded.
        diverged = {
            step: [run for run in runs if self.statuses.ended_at(run) is None]
            for step, runs in diverged.items()
        }
        for step, runs in diverged.items():
            self.statuses.diverge(runs, step)
        self._restore_frozen()
        for step, runs in diverged.items():
            if runs:
                last = self.validations.diverge(runs, step, self.judged_state())
                self.write(step, signals | last, runs, last=True)

    def measured(self) -> dict[str, Tensor]:
        """The signals measured with each validation: the complex share, if it is requested."""
        return {TAG: complex_share(self)} if self.config.signals.complex_share else {}

    def _stop_early(self, step: int) -> None:
        """Write the last rows of the runs that early stopping ends with this validation."""
        runs = [run for run in self.validations.stopping if self.statuses.ended_at(run) is None]
        if runs:
            self.statuses.stop(runs, step)
            last = self._weight_signals() | self.validations.stop(runs)
            self.write(step, last, runs, last=True)

    def _restore_frozen(self) -> None:
        """Restore frozen runs to their weights and buffers before the update."""
        with torch.no_grad():
            put_back(self.weights(), self._previous, self._frozen)
            put_back(self.network_buffers(), self._previous_buffers, self._frozen)

    @property
    def _frozen(self) -> Tensor:
        """Which runs have ended and keep their weights, bool [K]."""
        return self.statuses.frozen(self.latch.diverged)

    def _weight_signals(self) -> dict[str, Tensor]:
        elementwise = self.config.signals.elementwise
        return measure_weights(self.weights(), solution=self.solution, elementwise=elementwise)

    def _signals(self, update: Update) -> dict[str, Tensor]:
        return update.signals(self._numbers.scale, self.solution, self.config.signals)
