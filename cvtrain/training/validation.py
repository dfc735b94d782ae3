"""Validation of K runs in lock step: signals, best weights, early stopping.

All tensors have a leading axis of K runs and stay on the device of training until a run ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from cvtrain.config.schema import Config
from cvtrain.config.sections import EarlyStoppingConfig
from cvtrain.data.dataset import Dataset
from cvtrain.data.draws import SplitName
from cvtrain.process.errors import InputError
from cvtrain.training.convergence import Convergence


class Evaluate(Protocol):
    """Evaluates K runs on a split."""

    def __call__(
        self,
        split: SplitName,
        runs: Sequence[int] | None,
        state: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Loss and metrics [K] of a split, of the judged weights or of a `state` [K, …] by name;
        values of runs that are not requested may be NaN."""


class BestState:
    """Weights and buffers of K runs at the lowest loss of each run.

    Args:
        state: initial tensors [K, …] by name, kept until a loss is finite.

    Attributes:
        state: tensors [K, …] by name.
        step: number of updates made when each run had them, int64 [K], on the CPU.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self.state = {name: tensor.clone() for name, tensor in state.items()}
        first = next(iter(self.state.values()))
        self.step = torch.zeros(len(first), dtype=torch.int64)
        self._loss: Tensor | None = None

    def consider(self, step: int, loss: Tensor, state: Mapping[str, Tensor]) -> None:
        """Copy `state` for the runs whose `loss` [K] after `step` updates is a new lowest loss."""
        lowest = torch.full_like(loss, torch.inf) if self._loss is None else self._loss
        better = loss < lowest
        self._loss = torch.where(better, loss, lowest)
        self.step = torch.where(better.cpu(), step, self.step)
        for name, best in self.state.items():
            over_entries = better.reshape(-1, *([1] * (best.dim() - 1)))
            best.copy_(torch.where(over_entries, state[name], best))

    def state_dict(self, run: int) -> dict[str, Any]:
        """The best state of run number `run`, its step and its loss."""
        return {
            "state": {name: tensor[run] for name, tensor in self.state.items()},
            "step": int(self.step[run]),
            "loss": None if self._loss is None else self._loss[run],
        }

    def load_state_dict(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Restore the states that `state_dict` returned for each of the K runs."""
        for name, best in self.state.items():
            best.copy_(torch.stack([state["state"][name] for state in states]))
        self.step = torch.tensor([state["step"] for state in states])
        device = next(iter(self.state.values())).device
        self._loss = torch.stack([state["loss"] for state in states]).to(device)


class EarlyStopping:
    """Ends a run after `patience` consecutive validations that did not improve its metric by more
    than `min_delta`. NaN is no improvement.

    The criterion UP of Prechelt 1998, Early stopping — but when?, with a margin.

    Args:
        config: metric, patience and margin; without a patience no run ends.
        metrics: the validation metrics, `loss` included, and whether larger values are better.

    Raises:
        InputError: the metric is not among `metrics`.
    """

    def __init__(self, config: EarlyStoppingConfig, metrics: Mapping[str, bool]) -> None:
        self.metric = config.metric.removeprefix("val/")
        if self.metric not in metrics:
            raise InputError(
                f"early_stopping.metric={config.metric}: should be one of {', '.join(metrics)}"
            )
        self._rising = metrics[self.metric]
        self.patience = config.patience
        self._min_delta = config.min_delta
        self._best: Tensor | None = None
        self._waited: Tensor | None = None

    def observe(self, values: Tensor) -> Tensor:
        """Take the metric [K] of one validation; return which runs end with it, bool [K]."""
        order = -values if self._rising else values
        if self._best is None or self._waited is None:
            self._best = torch.full_like(order, torch.inf)
            self._waited = torch.zeros_like(order, dtype=torch.int64)
        better = order < self._best - self._min_delta
        self._best = torch.where(better, order, self._best)
        self._waited = torch.where(better, 0, self._waited + 1)
        if self.patience is None:
            return torch.zeros_like(better)
        return self._waited >= self.patience


class Validations:
    """Evaluates K runs in lock step and stores the results.

    Args:
        config: a configuration, for values that all runs share.
        dataset: data set, which determines the task.
        evaluate: function that evaluates a split: the validation split during training, the test
            split when a run ends.
        metrics: measured metrics, including `loss`, and whether larger values are better.
        measure: function that returns further signals [K] by tag, called with each validation
            during training.

    Attributes:
        later_tags: tags that only the last row of a run has.
        tags: `later_tags` and the tags of validations.
        best_state: weights of the lowest validation loss; None before the first validation.
    """

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        evaluate: Evaluate,
        metrics: Mapping[str, bool],
        measure: Callable[[], dict[str, Tensor]] = dict,
    ) -> None:
        self._evaluate = evaluate
        self._measure = measure
        self._measured: dict[str, Tensor] = {}
        self._convergence = Convergence(config.goal, dataset.task, metrics, config.max_steps)
        self._stopping = EarlyStopping(config.early_stopping, metrics)
        self._without_improvement: Tensor | None = None
        self._ended: dict[int, Convergence] = {}
        self._latest: dict[str, Tensor] = {}
        self._latest_step = -1
        self.best_state: BestState | None = None
        tests = ("test", "test_best") if self._stopping.patience is not None else ("test",)
        tested = tuple(f"{group}/{name}" for group in tests for name in metrics)
        self.later_tags = (*tested, *self._convergence.tags)
        self.tags = (*(f"val/{name}" for name in metrics), *self.later_tags)

    def observe(self, step: int, state: Mapping[str, Tensor]) -> None:
        """Validate all runs, once per step, at the weights and buffers `state`, [K, …] by name."""
        if self._latest_step == step:
            return
        self._latest = self._evaluate("validation", None)
        self._latest_step = step
        self._measured = self._measure()
        self._convergence.observe(step, self._latest)
        self._without_improvement = self._stopping.observe(self._latest[self._stopping.metric])
        if self.best_state is None:
            self.best_state = BestState(state)
        self.best_state.consider(step, self._latest["loss"], state)

    def signals(self, step: int) -> dict[str, Tensor]:
        """The signals ``val/…`` of `step`, [K], and those measured with them; empty if `step` is
        not the latest validated one."""
        if self._latest_step != step:
            return {}
        return _tagged("val", self._latest) | self._measured

    @property
    def stopping(self) -> list[int]:
        """Positions of the runs that early stopping ends with the latest validation."""
        if self._stopping.patience is None or self._without_improvement is None:
            return []
        return self._without_improvement.nonzero().flatten().tolist()

    def finish(self, step: int, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``val/…``, ``test/…`` and ``convergence/…`` of runs that made their last update; with
        early stopping also ``test_best/…`` of their best weights."""
        self.observe(step, state)
        return self._last_signals(self._latest, self._convergence, None) | self._measured

    def stop(self, runs: Sequence[int]) -> dict[str, Tensor]:
        """The signals that `finish` returns, for `runs` that end with the latest validation."""
        ended = self._convergence.snapshot()
        self._ended |= dict.fromkeys(runs, ended)
        return self._last_signals(self._latest, ended, runs) | self._measured

    def diverge(
        self, runs: Sequence[int], step: int, state: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The signals that `finish` returns, for `runs` that diverged at `step`, at their last
        finite weights. The other runs' histories and best weights do not change."""
        values = self._latest
        if self._latest_step != step:
            evaluated = self._evaluate("validation", runs)
            chosen = torch.zeros_like(evaluated["loss"], dtype=torch.bool)
            chosen[list(runs)] = True
            values = {name: value.where(chosen, torch.nan) for name, value in evaluated.items()}
            assert self.best_state is not None  # the initial weights are always validated
            self.best_state.consider(step, values["loss"], state)
        ended = self._convergence.snapshot()
        ended.observe(step, values)
        self._ended |= dict.fromkeys(runs, ended)
        return self._last_signals(values, ended, runs, diverged=True)

    def best(self, run: int) -> dict[str, tuple[float, int]]:
        """The best value of each metric for run number `run`, and the first step that had it."""
        best = self._ended.get(run, self._convergence).best()
        return {
            name: (float(values[run]), int(steps[run])) for name, (values, steps) in best.items()
        }

    def state_dict(self, run: int) -> dict[str, Any]:
        """The validations of run number `run` and its best state."""
        assert self.best_state is not None  # the initial weights are always validated
        return self._convergence.state_dict(run) | {"best": self.best_state.state_dict(run)}

    def load_state_dict(
        self, states: Sequence[Mapping[str, Any]], live: Mapping[str, Tensor]
    ) -> None:
        """Restore the states that `state_dict` returned for each of the K runs; `live` weights and
        buffers, [K, …] by name, define the tensors of the best state."""
        self._convergence.load_state_dict(states, next(iter(live.values())).device)
        for values in self._convergence.history(self._stopping.metric):
            self._without_improvement = self._stopping.observe(values)
        self.best_state = BestState(live)
        self.best_state.load_state_dict([state["best"] for state in states])

    def _last_signals(
        self,
        validation: Mapping[str, Tensor],
        convergence: Convergence,
        runs: Sequence[int] | None,
        *,
        diverged: bool = False,
    ) -> dict[str, Tensor]:
        test = self._evaluate("test", runs)
        all_diverged = torch.full((len(test["loss"]),), diverged)
        tested = _tagged("test", test)
        if self._stopping.patience is not None:
            assert self.best_state is not None  # the initial weights are always validated
            best = self._evaluate("test", runs, self.best_state.state)
            tested |= _tagged("test_best", best)
        return _tagged("val", validation) | tested | convergence.signals(all_diverged)


def _tagged(group: str, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{group}/{name}": value for name, value in values.items()}
