"""Tensors and training state of K runs in lock step, with a leading axis of K."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from cvtrain.config.schema import Config
from cvtrain.data.batches import BatchOrder
from cvtrain.data.draws import Draws, SplitName
from cvtrain.process.errors import first_line
from cvtrain.runs.file_snapshot import FileSnapshot
from cvtrain.training.batch_loader import BatchLoader
from cvtrain.training.ema import WeightAverage, in_place_of
from cvtrain.training.memory import is_out_of_memory
from cvtrain.training.metrics import directions
from cvtrain.training.run_status import DivergenceLatch, RunStatuses
from cvtrain.training.task import Task
from cvtrain.training.validation import Validations


class UnusableState(Exception):
    """A saved state does not fit the run that it is to be loaded into."""


@dataclass(frozen=True)
class RunState:
    """A run between two updates, as its checkpoint holds it.

    step: number of updates made.
    weights: weights of the plain network, by their names in its state dict.
    training: the result of `ModuleState.training_state_dict` for the run.
    recorded: sizes of its files at that step.
    seconds: training time so far.
    """

    step: int
    weights: dict[str, Tensor]
    training: dict[str, Any]
    recorded: FileSnapshot
    seconds: float


class ModuleState(LightningModule):
    """The tensors and the training state of K runs in lock step; `TrainingModule` trains them.

    Names of tensors are those of the plain network. The two engines differ in the origin of the
    leading axis: in a stack every parameter has it, in a single run it is added to views.

    Args:
        configs: configurations of the K runs, which differ only in numbers.
        task: the data, network, loss and metrics of all runs.

    Attributes:
        config: the first configuration, for values that all of them share.
        members: K, including runs that only pad the stack.
        draws: the data of the K runs.
        dataset: data set of the first run, for properties that all data sets share.
        validations, latch, statuses: histories, divergence and ends of the K runs.
        average: averages of the weights; None without `ema.decay` and before training.
    """

    leading_axis: ClassVar[bool]
    """Whether the parameters of `network` have the leading axis."""

    def __init__(self, configs: Sequence[Config], task: Task) -> None:
        super().__init__()
        self.config = configs[0]
        self.members = len(configs)
        self.draws = Draws(task.datasets(configs))
        self.dataset = self.draws.distinct[0]
        self.objective = task.objective
        self.metrics = task.metrics(self.objective)
        if isinstance(self.objective.loss, nn.Module):
            self.loss = self.objective.loss  # so that Lightning moves its buffers
        orders = [BatchOrder(len(self.dataset.train), c.batch_size, c.seed) for c in configs]
        self._batches = BatchLoader(self.draws, orders)
        self.validations = Validations(
            self.config, self.dataset, self._evaluate, directions(self.metrics), self.measured
        )
        self.latch = DivergenceLatch()
        self.statuses = RunStatuses(self.members)
        self.average: WeightAverage | None = None

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """The module whose parameters are trained."""

    @abstractmethod
    def batch_losses(self, batch: int) -> Tensor:
        """Unscaled losses [K] of batch number `batch`, with their graph."""

    @abstractmethod
    def evaluate(self, split: SplitName, runs: Sequence[int] | None = None) -> dict[str, Tensor]:
        """Loss and metrics [K] of a whole split by name, in evaluation mode and without graph. If
        `runs` is set, values of other runs may be NaN."""

    @abstractmethod
    def weights_before_update(self) -> dict[str, Tensor]:
        """The current weights [K, …] by name, unchanged by the update that follows."""

    @abstractmethod
    def state_dict_of(self, run: int) -> dict[str, Tensor]:
        """The state dict that the plain network of run number `run` would have."""

    @abstractmethod
    def engine_state_dict(self, run: int) -> dict[str, Any]:
        """State of the ``optimizer`` and of the ``random`` numbers of run number `run`."""

    @abstractmethod
    def load_engine_state_dict(self, states: Sequence[Mapping[str, Any]], step: int) -> None:
        """Restore the states that `engine_state_dict` returned for each of the K runs, and set the
        learning rate schedule to `step`."""

    @abstractmethod
    def random_numbers_put_back(self) -> AbstractContextManager[None]:
        """Context after which random numbers drawn within it, such as masks of dropout, are drawn
        again."""

    @abstractmethod
    def measured(self) -> dict[str, Tensor]:
        """Signals [K] that are measured with each validation of the runs that train, by tag."""

    @cached_property
    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that are trained, by name; valid once the network exists."""
        return {name: p for name, p in self.network.named_parameters() if p.requires_grad}

    def weights(self) -> dict[str, Tensor]:
        """Detached views [K, …] of the trained parameters, by name, valid until the next update."""
        return {name: self._with_axis(p.detach()) for name, p in self.trained.items()}

    def network_buffers(self) -> dict[str, Tensor]:
        """Views [K, …] of the network's buffers, by name."""
        return {name: self._with_axis(b) for name, b in self.network.named_buffers()}

    def live_state(self) -> dict[str, Tensor]:
        """Views [K, …] of weights and buffers, by name."""
        return self.weights() | self.network_buffers()

    def judged_state(self) -> dict[str, Tensor]:
        """The weights and buffers [K, …] by name that are validated, tested and kept as the best:
        the averages if there are any, else the current ones."""
        return self.live_state() if self.average is None else self.average.state

    @property
    def solution(self) -> dict[str, Tensor] | None:
        """The known solution w° by parameter name, [1, …], or [K, …] for several data sets; None if
        the data have none for this network."""
        known = self.draws.solution()
        weights = self.weights()
        if set(known) != set(weights):
            return None
        if any(known[name].shape[1:] != weights[name].shape[1:] for name in weights):
            return None
        return {name: known[name].to(self.device) for name in weights}

    def gradients(self) -> dict[str, Tensor]:
        """Views [K, …] of p.grad by name; zeros if there is no gradient."""
        return {
            name: self._with_axis(torch.zeros_like(p) if p.grad is None else p.grad.to_dense())
            for name, p in self.trained.items()
        }

    def put_gradients(self, gradients: Mapping[str, Tensor], current: Mapping[str, Tensor]) -> None:
        """Put `gradients` into p.grad without copying, in place of the `current` ones."""
        for name, p in self.trained.items():
            # What is unchanged or missing stays: a parameter without gradient is not updated.
            if p.grad is not None and gradients[name] is not current[name]:
                p.grad = gradients[name] if self.leading_axis else gradients[name].squeeze(0)

    def training_state_dict(self, run: int) -> dict[str, Any]:
        """The state besides the weights that the next updates of run number `run` depend on."""
        return {
            "buffers": {name: buffer[run] for name, buffer in self.network_buffers().items()},
            **self.engine_state_dict(run),
            "validations": self.validations.state_dict(run),
            "loss_bound": self.latch.loss_bound(run),
            **({} if self.average is None else {"average": self.average.state_dict(run)}),
        }

    def load_run_states(self, states: Sequence[RunState]) -> None:
        """Continue from `states`, before any update; padding members copy the last one.

        Raises:
            UnusableState: the states do not fit the network, or belong to different steps.
        """
        filled = [*states, *[states[-1]] * (self.members - len(states))]
        training = [state.training for state in filled]
        step = filled[0].step
        try:
            if any(state.step != step for state in filled):
                raise ValueError("states of different steps")
            _fill(self.weights(), [state.weights for state in filled])
            buffers = self.network_buffers()
            if any(state["buffers"].keys() != buffers.keys() for state in training):
                raise ValueError("it has buffers that a network has not before its first update")
            _fill(buffers, [state["buffers"] for state in training])
            self.load_engine_state_dict(training, step)
            validations = [state["validations"] for state in training]
            self.validations.load_state_dict(validations, self.live_state())
            if self.average is not None:
                self.average.load_state_dict([state["average"] for state in training])
            bounds = torch.stack([state["loss_bound"] for state in training])
            self.latch.load_loss_bounds(bounds.to(self.device))
        except Exception as error:  # an untrusted file may hold any object anywhere
            if is_out_of_memory(error):
                raise
            raise UnusableState(first_line(error) or type(error).__name__) from error
        # Lightning's counter of updates; it can restore it only from a checkpoint of its own kind.
        progress = self.trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress
        progress.optimizer.step.total.completed = step

    def tested_weights(self, run: int, updates: int) -> dict[str, str]:
        """Which weights of run number `run`, which made this number of updates, were tested, by the
        first part of their signals' tags."""
        judged = "last" if self.average is None else "averaged"
        tested = {"test": f"{judged} weights after {updates} updates"}
        best = self.validations.best_state
        if self.config.early_stopping.patience is not None and best is not None:
            tested["test_best"] = f"best weights after {int(best.step[run])} updates"
        return tested

    def release(self) -> None:
        """Close the readers of the data, however training ended."""
        self._batches.close()

    def _evaluate(
        self,
        split: SplitName,
        runs: Sequence[int] | None,
        state: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Evaluate `state`; None: the weights that are judged."""
        judged = self.average.state if state is None and self.average is not None else state
        if judged is None:
            return self.evaluate(split, runs)
        with in_place_of(self.live_state, judged):
            return self.evaluate(split, runs)

    def _with_axis(self, tensor: Tensor) -> Tensor:
        return tensor if self.leading_axis else tensor.unsqueeze(0)


def _fill(live: Mapping[str, Tensor], saved: Sequence[Mapping[str, Tensor]]) -> None:
    """Copy the `saved` tensors of K runs into `live` ones [K, …].

    Raises:
        ValueError: a tensor has another shape or dtype.
    """
    with torch.no_grad():
        for name, tensor in live.items():
            for state in saved:
                # Before they are stacked: a view of one number may claim any size.
                if state[name].shape != tensor.shape[1:] or state[name].dtype != tensor.dtype:
                    raise ValueError(f"{name} is {list(state[name].shape)}, {state[name].dtype}")
            tensor.copy_(torch.stack([state[name] for state in saved]))
