"""The training step that every engine shares: K runs in lock step, on a leading axis of K.

losses → backward → hand → step → divergence latch → measure. An engine adds how losses come about
and where weights are kept (`single`: one `nn.Module`; `stack`: K of them along one axis).

Nothing waits for a GPU but a logged step: what is known of the update by which a run diverged stays
on the device until then, and the run at its last usable weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cvtrain.config.schema import Config
from cvtrain.data.dataset import Dataset
from cvtrain.data.split import AnySplit
from cvtrain.gradients.clipping import Clip
from cvtrain.gradients.convention import Convention
from cvtrain.gradients.stacked_number import Number, column
from cvtrain.gradients.transform import transform_gradients
from cvtrain.process.signals import interruption
from cvtrain.runs.writer import RunWriter
from cvtrain.training.divergence import DivergenceLatch, free_to_read, put_back
from cvtrain.training.ema import WeightAverage
from cvtrain.training.run_status import RunStatuses
from cvtrain.training.signals import histograms, measure_weights
from cvtrain.training.step import Update, chosen, evaluates_often
from cvtrain.training.training_state import ResumableModule, RunState
from cvtrain.training.validation import Validations

Checkpointer = Callable[[], None]
"""Writes what the runs go on from, between two updates."""


class TrainingModule(ResumableModule):
    """Trains K runs whose configurations differ in numbers only.

    Args:
        config: what the K configurations have in common: data, network, cadence, number of steps.
        members: K.
        dataset: the data of all of them.
        convention, clip, scale: what is asked of a gradient, broadcasting over K.
        decay: of averages of the weights, broadcasting over K; None: there are none.
        recorder: takes the rows.
        save: writes what the runs can go on from.
        progressed: called with the number of updates made.

    Attributes:
        ended_early: whether a callback stopped the Trainer before the last update.
    """

    def __init__(
        self,
        config: Config,
        members: int,
        dataset: Dataset,
        convention: Convention,
        clip: Clip,
        scale: Number,
        decay: Number | None,
        recorder: RunWriter,
        save: Checkpointer,
        progressed: Callable[[int], None],
    ) -> None:
        super().__init__()
        self.config = config
        self.members = members
        self.dataset = dataset
        self._convention, self._clip, self._scale = convention, clip, scale
        self._recorder, self._save, self._progressed = recorder, save, progressed
        self.validations = Validations(config, dataset, self._evaluate)
        self.ended = RunStatuses(members)
        self._decay = decay
        self.average: WeightAverage | None = None
        self.latch = DivergenceLatch()
        self.earlier: Sequence[RunState] = ()
        self._update: Update | None = None
        self._ending: Update | None = None
        self._leaves = False
        self.ended_early = False
        self._previous: dict[str, Tensor] = {}
        self._previous_buffers: dict[str, Tensor] = {}

    # What the Trainer calls.

    def train_dataloader(self) -> range:
        """Batch numbers; the batches themselves are gathered on the device."""
        first = self.earlier[0].step if self.earlier else 0
        accumulated = self.trainer.accumulate_grad_batches
        return range(first * accumulated, self.config.max_steps * accumulated)

    def on_fit_start(self) -> None:
        """Train one update at least: Lightning would leave out the end of a training that a
        callback ended before it began."""
        self.trainer.should_stop = False

    def on_train_start(self) -> None:
        """Go on where an earlier attempt was."""
        if self._decay is not None:
            self.average = WeightAverage(self.weights(), self.network_buffers(), self._decay)
        if self.earlier:
            self.load_run_states(self.earlier)

    def on_train_batch_start(self, batch: int, batch_idx: int) -> None:
        """Validate, where a validation is due, the weights before the update."""
        first = batch_idx % self.trainer.accumulate_grad_batches == 0
        step = self.trainer.global_step
        if batch // self.trainer.accumulate_grad_batches != step:
            raise RuntimeError(
                f"batch {batch} comes at step {step}: a callback left the epoch, or changed"
                " trainer.accumulate_grad_batches"
            )
        if first:
            self._previous_buffers = _clones(self.network_buffers())
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
        return (column(self._scale, losses) * losses).sum()

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """One update; while the optimizer runs, `p.grad` is the transformed gradient.

        The closure may run several times (L-BFGS); what is recorded is its first evaluation, the
        one at the weights before the update.
        """
        assert optimizer_closure is not None
        step = self.trainer.global_step
        self._previous = self.weights_to_keep()
        autograd: dict[str, Tensor] = {}

        def handing_closure() -> Any:
            nonlocal autograd
            objective = optimizer_closure()
            autograd = self.gradients()
            transformed, coefficient = transform_gradients(autograd, self._convention, self._clip)
            update = self._update
            assert update is not None
            if not update.gradients:
                update.weights = self._previous
                many = evaluates_often(optimizer)
                update.gradients = _clones(autograd) if many else autograd
                update.transformed = _clones(transformed) if many else transformed
                update.coefficient = coefficient
            self.put_gradients(transformed)
            return objective

        optimizer.step(closure=handing_closure)
        self.put_gradients(autograd)
        assert self._update is not None
        self.after_update(step, self._update)
        self._update = None

    def on_train_batch_end(self, outputs: Any, batch: int, batch_idx: int) -> None:
        """Checkpoint where due; leave where a signal asked for it."""
        if not self.between_updates:
            return
        step = self.trainer.global_step
        self._progressed(step)
        every = self.config.checkpoint.every_n_steps
        # Asked once: a signal may come at any moment, and what is left must be what was saved.
        lost = self.config.on_error == "stop" and bool(self._recorder.lost)
        asked_to_stop = self.asked_to_stop or self.config.pauses(step) or lost
        if asked_to_stop or (every is not None and step % every == 0):
            self.end_diverged()
            if step < self.config.max_steps:
                self._save()
        self._leaves = asked_to_stop or not self._recorder.records(self.ended.surviving)
        if self._leaves:
            self.trainer.should_stop = True

    def on_train_end(self) -> None:
        """The row of the weights after the last update: weights, validation, test, convergence.

        Here, since Lightning brings the module back to the host right after. Runs that diverged or
        were interrupted have no such row. Where a callback ended training, its last update is the
        end of the runs, as with early stopping.
        """
        self.end_diverged()
        step, runs = self.trainer.global_step, self.ended.surviving
        if self._leaves or not runs:
            return
        last = self._weight_signals() | self.validations.finish(step, self.judged_state())
        self._recorder.write(step, last, runs)
        if step < self.config.max_steps:
            self.ended_early = True
            self.ended.stop(runs, step)

    # Measuring.

    @property
    def asked_to_stop(self) -> bool:
        """Whether a signal asks to leave after this step."""
        return interruption.requested is not None

    @property
    def between_updates(self) -> bool:
        """Whether no update is half made, some of its batches accumulated."""
        return self._update is None

    def live_state(self) -> dict[str, Tensor]:
        """Live views [K, …] of weights and buffers, by plain name."""
        return self.weights() | self.network_buffers()

    def judged_state(self) -> dict[str, Tensor]:
        """What is validated, tested and kept as the best: averages, where there are any."""
        return self.live_state() if self.average is None else self.average.state

    @property
    def solution(self) -> dict[str, Tensor] | None:
        """w° by parameter name, where the data know it for this very network."""
        known = self.dataset.solution
        weights = self.weights()
        if set(known) != set(weights):
            return None
        if any(known[name].shape != weights[name].shape[1:] for name in weights):
            return None
        return {name: known[name].to(self.device) for name in weights}

    # Parts of an update.

    def after_update(self, step: int, update: Update) -> None:
        """Measure what is due, and end the runs that diverged."""
        update.next_weights = self.weights()
        update.rates = column(self.learning_rates(), update.losses).expand(self.members)
        tensors = [*update.gradients.values(), *update.next_weights.values()]
        newly = self.latch.observe(step, update.losses, tensors)
        at_once = free_to_read(newly)
        self._ending = update if at_once else chosen(newly, update, self._ending or update)
        validation = self.validations.signals(step)
        histograms_every = self.config.signals.histograms_every or 0
        draws = histograms_every > 0 and step % histograms_every == 0
        due = step % self.config.signals.scalars_every == 0 or bool(validation)
        signals = self._signals(update) | validation if due else {}
        if at_once or due or draws:
            self.end_diverged()
        if not at_once or len(self.ended.surviving) < self.members:
            self._hold_back()
        if self.average is not None:
            self.average.update(self.weights(), self.network_buffers(), self._held, step + 1)
        if due and self.ended.surviving:
            self._recorder.write(step, signals, self.ended.surviving)
        if draws:
            drawn = histograms("grad", update.gradients) | histograms("weight", self._previous)
            self._recorder.histograms(step, drawn, self.ended.with_update(step))

    def end_diverged(self) -> None:
        """Write the last rows of the runs that diverged since this was last asked."""
        ended = self.latch.take()
        if not ended:
            return
        assert self._ending is not None
        signals = self._signals(self._ending)
        # What a run that stopped early would have come to is none of its story.
        ended = {
            step: [run for run in runs if self.ended.at(run) is None]
            for step, runs in ended.items()
        }
        for step, runs in ended.items():
            self.ended.diverge(runs, step)
        self._hold_back()
        for step, runs in ended.items():
            if runs:
                last = self.validations.diverge(runs, step, self.judged_state())
                self._recorder.write(step, signals | last, runs)

    def _stop_early(self, step: int) -> None:
        """Write the last rows of the runs that had enough validations without a better one."""
        runs = [run for run in self.validations.had_enough if self.ended.at(run) is None]
        if runs:
            self.ended.stop(runs, step)
            last = self._weight_signals() | self.validations.stop(runs)
            self._recorder.write(step, last, runs)

    def _hold_back(self) -> None:
        """Back to the last usable weights, those before the update, and stay there."""
        with torch.no_grad():
            put_back(self.weights(), self._previous, self._held)
            put_back(self.network_buffers(), self._previous_buffers, self._held)

    @property
    def _held(self) -> Tensor:
        """Which runs have ended and keep their weights, bool [K]."""
        return self.ended.held(self.latch.diverged)

    def _evaluate(self, split: AnySplit, runs: Sequence[int] | None) -> dict[str, Tensor]:
        if self.average is None:
            return self.evaluate(split, runs)
        with self.average.in_place_of(self.live_state):
            return self.evaluate(split, runs)

    def _weight_signals(self) -> dict[str, Tensor]:
        return measure_weights(
            self.weights(),
            solution=self.solution,
            elementwise=self.config.signals.elementwise,
        )

    def _signals(self, update: Update) -> dict[str, Tensor]:
        return update.signals(self._scale, self.solution, self.config.signals)


def _clones(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}
