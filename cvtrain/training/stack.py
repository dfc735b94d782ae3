"""The stack engine: K runs as one computation, their tensors on a leading axis."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain
from math import lcm
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap

from cvtrain.config.schema import Config
from cvtrain.data.draws import SplitName
from cvtrain.data.split import Split
from cvtrain.gradients.stacked_number import Number, column, float64
from cvtrain.models.forward_state import nothing_left_behind
from cvtrain.models.stacked.network import StackedNetwork
from cvtrain.optim import RuleOptimizer
from cvtrain.training.compiled_step import CompiledStep, Programs, Step
from cvtrain.training.metrics import Totals
from cvtrain.training.module import TrainingModule, TrainingSettings
from cvtrain.training.pure_update import NotCompiled, PureUpdate
from cvtrain.training.stacking import program_part, stack_optimizer, stack_schedule
from cvtrain.training.task import Task
from cvtrain.training.update import Update

log = logging.getLogger(__name__)

EVALUATION_PIECE = 1024
"""Largest number of samples of each member that are evaluated at once."""
EVALUATED_ENTRIES = 2**21
"""Entries of inputs for which further members are evaluated at once: fewer groups take less time,
and larger ones memory that training does not need."""

COMPILED_MEMBERS = 16
"""Number of members that a compiled program updates at once."""

_PROGRAMS: dict[str, Programs] = {}
"""Programs compiled by this process, by `program_part`."""


def alignment(task: Task, threads: int | None = None) -> int:
    """The number of which a stack's size is a multiple if `task` is trained with this number of
    threads (None: torch's number in this process).

    Vectorised loops that are split among threads treat the end of an array differently. If each
    thread has whole vectors, no member is at such an end, so its bits do not depend on others.
    """
    if task.accelerator != "cpu":
        return 1
    vector = 16 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 8
    vectors = vector * (threads or torch.get_num_threads())
    return lcm(vectors, COMPILED_MEMBERS) if task.config.compile else vectors


class Stack(TrainingModule):
    """K runs in one forward, one backward, one update.

    Members that diverged are frozen at their last finite weights and do not influence others.

    Args:
        configs: K configurations that can be stacked; see `cvtrain.training.stacking.common_part`.
        task: data, network, loss and metrics of all runs.
        multiple: number to a multiple of which the stack is padded with copies of its last member,
            which are not recorded.
        settings: as for `TrainingModule`.
    """

    leading_axis = True

    def __init__(
        self,
        configs: Sequence[Config],
        task: Task,
        multiple: int,
        settings: TrainingSettings,
    ) -> None:
        filled = [*configs, *[configs[-1]] * (-len(configs) % multiple)]
        super().__init__(filled, task, settings)
        self._configs = filled
        self._members_at_once = multiple if multiple > 1 else len(filled)
        self.stacked = _stacked_network(filled, task)
        self._schedule = stack_schedule(filled)
        self._initial_rates: list[Number] = []
        self._losses_taken = 0
        self._compiles = self.config.compile
        self._program: CompiledStep | None = None
        self._step: Step | None = None
        self._batch = 0

    @property
    def network(self) -> nn.Module:
        """The network that holds the stacked parameters and buffers under their plain names."""
        return self.stacked.network

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The configured rule for all members; `on_train_batch_start` sets its learning rates."""
        optimizer = stack_optimizer(self._configs, self.trained.values())
        self._initial_rates = [group["lr"] for group in optimizer.param_groups]
        return optimizer

    def on_fit_start(self) -> None:
        """Seed the members' random numbers on the device of the weights."""
        super().on_fit_start()
        self.stacked.seed(self.device)

    def on_train_batch_start(self, batch: int, batch_idx: int) -> None:
        """Set the learning rates of the update, and validate if a validation is due."""
        self._batch = batch
        if self._schedule is not None:
            factors = self._schedule(self.trainer.global_step)
            groups = self.trainer.optimizers[0].param_groups
            for group, rate in zip(groups, self._initial_rates, strict=True):
                group["lr"] = float64(rate) * factors
        super().on_train_batch_start(batch, batch_idx)

    def training_step(self, batch: int, batch_idx: int) -> Tensor:
        """The sum of the K objectives; after a compiled step it is already known."""
        if self._step is None:
            return super().training_step(batch, batch_idx)
        losses = self._step.losses
        return (column(self._numbers.scale, losses) * losses).sum()

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Compute gradients, unless a compiled step has computed them."""
        if self._step is None:
            super().backward(loss, *args, **kwargs)

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Make one update, compiled if the configuration asks for it."""
        step, weights = self.trainer.global_step, self.weights()
        self._step = self._compiled_step(step)
        if self._step is None:
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
            return
        # Without gradients the optimizer changes nothing; Lightning counts its steps.
        optimizer.step(closure=optimizer_closure)
        made, self._step = self._step, None
        self._previous = weights
        self.after_update(
            step,
            Update(
                losses=made.losses,
                gradients=made.gradients,
                transformed=made.transformed,
                coefficient=made.coefficient,
                weights=weights,
                total=made.total,
            ),
        )

    def _compiled_step(self, step: int) -> Step | None:
        """Make update number `step` by the compiled program; None if it is not to be compiled.

        The first update is not compiled, since an optimizer has no state before it, and neither is
        the update of a smaller batch at the end of an epoch, which would need its own program.
        """
        if not self._compiles or step == 0:
            return None
        read = self._batches.batch(self._batch, self.device)
        samples = len(self.dataset.train)
        if read.targets.shape[1] < min(self.config.batch_size or samples, samples):
            return None
        try:
            if self._program is None:
                if self.device.type != "cpu":
                    raise NotCompiled("only steps on a CPU are")
                if isinstance(self.objective.loss, nn.Module):
                    raise NotCompiled("the loss is not one of cvtrain")
                optimizer = self.trainer.optimizers[0]
                assert isinstance(optimizer, RuleOptimizer)
                self._program = CompiledStep(
                    PureUpdate(self.stacked, self.objective.loss_value, optimizer, self._numbers),
                    COMPILED_MEMBERS,
                    _PROGRAMS.setdefault(program_part(self.config), {}),
                )
            return self._program.step(read.each_input, read.judged)
        except NotCompiled as reason:
            log.warning(
                "compile=true: the step of %d runs is not compiled: %s", self.members, reason
            )
            self._compiles, self._program = False, None
            return None

    def weights_before_update(self) -> dict[str, Tensor]:
        """The weights themselves: the optimizer puts new tensors in their place."""
        return self.weights()

    def batch_losses(self, batch: int) -> Tensor:
        """Each member's loss [K] of its own batch number `batch`, with their graph."""
        read = self._batches.batch(batch, self.device)
        outputs = self.stacked(read.inputs)
        self._losses_taken += 1
        checked = self._losses_taken.bit_count() == 1  # a power of two
        own = self.objective.loss
        losses: Tensor
        with nothing_left_behind(own) if isinstance(own, nn.Module) and checked else nullcontext():
            losses = vmap(self.objective.loss_value)(outputs, *read.judged)
        return losses

    @torch.no_grad()
    def evaluate(self, split: SplitName, runs: Sequence[int] | None = None) -> dict[str, Tensor]:
        """Loss and metrics [K] of a whole split, in evaluation mode and without graph, by name.

        Only some members are evaluated at a time; groups without any of `runs` are skipped and NaN.
        """
        self.stacked.eval()
        samples = self.draws.split(split)
        entries = sum(x[0].numel() for x in self.dataset.first.each_input)
        one = self._members_at_once * min(len(samples), EVALUATION_PIECE) * entries
        at_once = self._members_at_once * max(1, EVALUATED_ENTRIES // max(one, 1))
        groups = [
            slice(begin, min(begin + at_once, self.members))
            for begin in range(0, self.members, at_once)
        ]
        if runs is not None:
            groups = [g for g in groups if any(g.start <= run < g.stop for run in runs)]
        several = self.draws.several
        totals = [Totals(self.metrics, members=True, own_samples=several) for _ in groups]
        for piece in self._batches.pieces(samples, self.device, EVALUATION_PIECE):
            for members, total in zip(groups, totals, strict=True):
                own = self._samples_of(piece, members)
                total.add(self.stacked(own.inputs, members), *own.judged)
        self.stacked.train()
        values: dict[str, Tensor] = {}
        for members, total in zip(groups, totals, strict=True):
            for name, value in total.values().items():
                all_members = values.setdefault(name, value.new_full((self.members,), torch.nan))
                all_members[members] = value
        return values

    def _samples_of(self, piece: Split, members: slice) -> Split:
        """Inputs [K, N, …] of some members, with targets and weights: [N, …] if all share them,
        else [K, N, …]."""
        if not self.draws.several:
            count = members.stop - members.start
            expanded = [x.expand(count, *x.shape) for x in piece.each_input]
            return piece.of([*expanded, *piece.judged])
        chosen = self.draws.of_run[members].to(piece.targets.device)
        return piece.map(lambda t: t.movedim(1, 0).index_select(0, chosen))

    @contextmanager
    def random_numbers_put_back(self) -> Iterator[None]:
        """Context after which random numbers drawn within it are drawn again."""
        states = [self.stacked.random_state_of(run) for run in range(self.members)]
        try:
            yield
        finally:
            self.stacked.restore_random_states(torch.stack(states))

    def state_dict_of(self, run: int) -> dict[str, Tensor]:
        """The state dict of the plain network of member `run`; views into the stack."""
        return self.stacked.member_state(run)

    def engine_state_dict(self, run: int) -> dict[str, Any]:
        """State of the ``optimizer`` by parameter name, views into the stack, and of the member's
        ``random`` numbers."""
        state = self.trainer.optimizers[0].state
        optimizer = {
            name: {key: value[run] for key, value in state.get(p, {}).items()}
            for name, p in self.trained.items()
        }
        return {"optimizer": optimizer, "random": self.stacked.random_state_of(run)}

    def load_engine_state_dict(self, states: Sequence[Mapping[str, Any]], step: int) -> None:
        """Stack the states that `engine_state_dict` returned for each member; the learning rate
        schedule needs no state."""
        optimizer = self.trainer.optimizers[0]
        saved = optimizer.state_dict()
        names = {id(p): name for name, p in self.trained.items()}
        ordered = chain.from_iterable(group["params"] for group in optimizer.param_groups)
        for number, p in enumerate(ordered):
            members = [state["optimizer"][names[id(p)]] for state in states]
            saved["state"][number] = {
                key: torch.stack([member[key] for member in members]) for key in members[0]
            }
        optimizer.load_state_dict(saved)
        self.stacked.restore_random_states(torch.stack([state["random"] for state in states]))


def _stacked_network(configs: Sequence[Config], task: Task) -> StackedNetwork:
    starts = [(config.seed, config.init_jitter) for config in configs]
    distinct = dict(zip(starts, configs, strict=True))
    index = {start: number for number, start in enumerate(distinct)}
    return StackedNetwork(
        [task.model(config) for config in distinct.values()],
        [index[start] for start in starts],
        [config.seed for config in configs],
    )
