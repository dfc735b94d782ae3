"""The stack engine: K runs as one computation, their tensors on a leading axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from cvtrain.config.schema import Config
from cvtrain.data.batches import BatchOrder
from cvtrain.data.dataset import Dataset
from cvtrain.data.split import AnySplit
from cvtrain.gradients.stacked_number import Number, float64
from cvtrain.models.stacked.network import StackedNetwork
from cvtrain.runs.writer import RunWriter
from cvtrain.training.batch_loader import BatchLoader
from cvtrain.training.lightning_trainer import trainer_arguments
from cvtrain.training.metrics import Totals, measured
from cvtrain.training.module import Checkpointer, TrainingModule
from cvtrain.training.stacking import (
    stack_clip,
    stack_convention,
    stack_decay,
    stack_optimizer,
    stack_scale,
    stack_schedule,
)
from cvtrain.training.task import build_model, build_objective

EVALUATION_PIECE = 1024
"""Samples of each member evaluated at once, at most."""


def alignment(config: Config) -> int:
    """A stack's size is a multiple of this, where `config` is trained.

    Vectorised loops, split among threads, treat the end of an array differently. Among whole
    vectors per thread no member comes to lie there, and its bits do not depend on the others.
    """
    if trainer_arguments(config)["accelerator"] != "cpu":
        return 1
    vector = 16 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 8
    return vector * torch.get_num_threads()


class Stack(TrainingModule):
    """K runs in one forward, one backward, one update.

    Members that diverged stay at their last usable weights and touch no other.

    Args:
        configs: K that fit together, see `cvtrain.training.stacking.common_part`.
        dataset: the data of all of them.
        multiple: the stack is filled up to a multiple of this by copies of its last member, which
            no one records.
        recorder, save, progressed: as for `TrainingModule`.
    """

    def __init__(
        self,
        configs: Sequence[Config],
        dataset: Dataset,
        multiple: int,
        recorder: RunWriter,
        save: Checkpointer,
        progressed: Callable[[int], None],
    ) -> None:
        filled = [*configs, *[configs[-1]] * (-len(configs) % multiple)]
        super().__init__(
            filled[0],
            len(filled),
            dataset,
            stack_convention(filled),
            stack_clip(filled),
            stack_scale(filled),
            stack_decay(filled),
            recorder,
            save,
            progressed,
        )
        self._configs = filled
        self._members_at_once = multiple if multiple > 1 else len(filled)
        self._objective = build_objective(filled[0])
        self.stacked = _stacked_network(filled, dataset)
        self._trained = {
            name: p for name, p in self.stacked.network.named_parameters() if p.requires_grad
        }
        size, samples = filled[0].batch_size, len(dataset.train)
        self._data = BatchLoader(dataset, [BatchOrder(samples, size, c.seed) for c in filled])
        self._functions = measured(dataset, self._objective)
        self._schedule = stack_schedule(filled)
        self._initial_rates: list[Number] = []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The configured rule for all members; `on_train_batch_start` schedules it."""
        optimizer = stack_optimizer(self._configs, self._trained.values())
        self._initial_rates = [group["lr"] for group in optimizer.param_groups]
        return optimizer

    def on_fit_start(self) -> None:
        """Begin random states on the device of the weights."""
        super().on_fit_start()
        self.stacked.seed(self.device)

    def on_train_batch_start(self, batch: int, batch_idx: int) -> None:
        """Set the learning rates of the update, and validate where it is due."""
        if self._schedule is not None:
            factors = self._schedule(self.trainer.global_step)
            groups = self.trainer.optimizers[0].param_groups
            for group, rate in zip(groups, self._initial_rates, strict=True):
                group["lr"] = float64(rate) * factors
        super().on_train_batch_start(batch, batch_idx)

    def weights(self) -> dict[str, Tensor]:
        """Views of the stacked parameters."""
        return {name: p.detach() for name, p in self._trained.items()}

    def weights_to_keep(self) -> dict[str, Tensor]:
        """The tensors themselves: the optimizer makes new ones."""
        return self.weights()

    def network_buffers(self) -> dict[str, Tensor]:
        """The stacked ones."""
        return dict(self.stacked.network.named_buffers())

    def learning_rates(self) -> Number:
        """Those of the optimizer's first group."""
        rates: Number = self.trainer.optimizers[0].param_groups[0]["lr"]
        return rates

    def state_dict_of(self, run: int) -> dict[str, Tensor]:
        """Views into the stack."""
        return self.stacked.member_state(run)

    def optimizer_state_of(self, run: int) -> dict[str, Any]:
        """By the names of `weights`, views into the stack."""
        state = self.trainer.optimizers[0].state
        return {
            name: {key: value[run] for key, value in state.get(p, {}).items()}
            for name, p in self._trained.items()
        }

    def restore_optimizer(self, states: Sequence[dict[str, Any]], step: int) -> None:
        """Stack them again; the schedule is a function of the step."""
        optimizer = self.trainer.optimizers[0]
        saved = optimizer.state_dict()
        names = {id(p): name for name, p in self._trained.items()}
        ordered = chain.from_iterable(group["params"] for group in optimizer.param_groups)
        for number, p in enumerate(ordered):
            members = [state[names[id(p)]] for state in states]
            saved["state"][number] = {
                key: torch.stack([each[key] for each in members]) for key in members[0]
            }
        optimizer.load_state_dict(saved)

    def random_state_of(self, run: int) -> Tensor:
        """The member's own."""
        return self.stacked.random_state_of(run)

    def restore_random(self, states: Sequence[Tensor]) -> None:
        """The members' own."""
        self.stacked.restore_random_states(torch.stack(list(states)))

    def gradients(self) -> dict[str, Tensor]:
        """p.grad; zeros where there is none."""
        return {
            name: torch.zeros_like(p) if p.grad is None else p.grad
            for name, p in self._trained.items()
        }

    def put_gradients(self, gradients: Mapping[str, Tensor]) -> None:
        """Into p.grad, without a copy."""
        for name, p in self._trained.items():
            if p.grad is not None:
                p.grad = gradients[name]

    def batch_losses(self, batch: int) -> Tensor:
        """Each member's loss of the batch that its seed and the number give."""
        read = self._data.batch(batch, self.device)
        losses: Tensor = vmap(self._objective.loss_value)(self.stacked(read.inputs), read.targets)
        return losses

    @torch.no_grad()
    def evaluate(self, split: AnySplit, runs: Sequence[int] | None = None) -> dict[str, Tensor]:
        """The whole split, in evaluation mode, piece by piece and some members at a time; NaN
        where none of them is wanted."""
        self.stacked.eval()
        groups = [
            slice(begin, min(begin + self._members_at_once, self.members))
            for begin in range(0, self.members, self._members_at_once)
        ]
        if runs is not None:
            groups = [each for each in groups if set(runs) & set(range(each.start, each.stop))]
        totals = [Totals(self._functions, members=True) for _ in groups]
        for piece in self._data.pieces(split, self.device, EVALUATION_PIECE):
            for members, total in zip(groups, totals, strict=True):
                x = piece.inputs.expand(members.stop - members.start, *piece.inputs.shape)
                total.add(self.stacked(x, members), piece.targets)
        self.stacked.train()
        values: dict[str, Tensor] = {}
        for members, total in zip(groups, totals, strict=True):
            for name, value in total.values().items():
                all_members = values.setdefault(name, value.new_full((self.members,), torch.nan))
                all_members[members] = value
        return values

    def release(self) -> None:
        """End what reads data ahead."""
        self._data.close()


def _stacked_network(configs: Sequence[Config], dataset: Dataset) -> StackedNetwork:
    starts = [(config.seed, config.init_jitter) for config in configs]
    distinct = dict(zip(starts, configs, strict=True))
    place = {start: index for index, start in enumerate(distinct)}
    return StackedNetwork(
        [build_model(config, dataset) for config in distinct.values()],
        [place[start] for start in starts],
        [config.seed for config in configs],
    )
