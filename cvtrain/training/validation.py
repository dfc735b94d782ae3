"""What validations tell of K runs: their signals, how fast they got where they got, and with which
weights and buffers each was best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cvtrain.config.schema import Config
from cvtrain.data.dataset import Dataset
from cvtrain.data.split import AnySplit
from cvtrain.training.best_state import BestState
from cvtrain.training.convergence import Convergence
from cvtrain.training.early_stopping import EarlyStopping
from cvtrain.training.metrics import metrics_of

Evaluate = Callable[[AnySplit, Sequence[int] | None], dict[str, Tensor]]
"""Loss and metrics [K] of a split; those of runs that are not asked for may be NaN."""


class Validations:
    """Evaluates K runs in lock step, and keeps what came out.

    Args:
        config: what the runs have in common.
        dataset: its validation split is evaluated on the way, its test split at a run's end.
        evaluate: does so, at the weights as they are.

    Attributes:
        later_tags: the tags that only a run's last row has.
        best_state: of the lowest validation loss; None before the first validation.
    """

    def __init__(self, config: Config, dataset: Dataset, evaluate: Evaluate) -> None:
        metrics = ("loss", *metrics_of(dataset))
        self._dataset, self._evaluate = dataset, evaluate
        self._convergence = Convergence(config.goal, dataset.task, metrics, config.max_steps)
        self._stopping = EarlyStopping(config.early_stopping, metrics)
        self._enough: Tensor | None = None
        self._ended: dict[int, Convergence] = {}
        self._latest: dict[str, Tensor] = {}
        self._latest_step = -1
        self.best_state: BestState | None = None
        self.later_tags = (*(f"test/{name}" for name in metrics), *self._convergence.tags)

    def observe(self, step: int, state: Mapping[str, Tensor]) -> None:
        """Validate all runs, once per step, with the weights and buffers `state` [K, …]."""
        if self._latest_step == step:
            return
        self._latest = self._evaluate(self._dataset.validation, None)
        self._latest_step = step
        self._convergence.observe(step, self._latest)
        self._enough = self._stopping.observe(self._latest[self._stopping.metric])
        if self.best_state is None:
            self.best_state = BestState(state)
        self.best_state.consider(step, self._latest["loss"], state)

    def state_of(self, run: int) -> dict[str, Any]:
        """What `go_on` needs of run number `run`."""
        assert self.best_state is not None  # the first weights are always validated
        return self._convergence.state_of(run) | {"best": self.best_state.state_of(run)}

    def go_on(self, states: Sequence[Mapping[str, Any]], live: Mapping[str, Tensor]) -> None:
        """Be again what the K runs' `state_of` tells, beside `live` weights and buffers [K, …]."""
        self._convergence.go_on(states, next(iter(live.values())).device)
        for values in self._convergence.history(self._stopping.metric):
            self._enough = self._stopping.observe(values)
        self.best_state = BestState(live)
        self.best_state.go_on([state["best"] for state in states])

    def signals(self, step: int) -> dict[str, Tensor]:
        """``val/…``, where `step` was validated."""
        return _tagged("val", self._latest) if self._latest_step == step else {}

    def finish(self, step: int, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``val/…``, ``test/…`` and ``convergence/…`` of runs that were trained to the end."""
        self.observe(step, state)
        test = self._evaluate(self._dataset.test, None)
        diverged = torch.zeros(len(test["loss"]), dtype=torch.bool)
        return self.signals(step) | _tagged("test", test) | self._convergence.signals(diverged)

    @property
    def had_enough(self) -> list[int]:
        """The runs that early stopping ends with the latest validation."""
        if self._stopping.patience is None or self._enough is None:
            return []
        return self._enough.nonzero().flatten().tolist()

    def stop(self, runs: Sequence[int]) -> dict[str, Tensor]:
        """What `finish` tells, of `runs` that end with the latest validation."""
        test = self._evaluate(self._dataset.test, runs)
        ended = self._convergence.snapshot()
        self._ended |= dict.fromkeys(runs, ended)
        diverged = torch.zeros(len(test["loss"]), dtype=torch.bool)
        return self.signals(self._latest_step) | _tagged("test", test) | ended.signals(diverged)

    def diverge(
        self, runs: Sequence[int], step: int, state: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The same of `runs` that diverged, at their last usable weights; others do not notice."""
        values = self._latest
        if self._latest_step != step:
            evaluated = self._evaluate(self._dataset.validation, runs)
            chosen = torch.zeros_like(evaluated["loss"], dtype=torch.bool)
            chosen[list(runs)] = True
            values = {name: value.where(chosen, torch.nan) for name, value in evaluated.items()}
            assert self.best_state is not None  # the first weights are always validated
            self.best_state.consider(step, values["loss"], state)
        ended = self._convergence.with_observed(step, values)
        self._ended |= dict.fromkeys(runs, ended)
        test = self._evaluate(self._dataset.test, runs)
        diverged = torch.ones(len(test["loss"]), dtype=torch.bool)
        return _tagged("val", values) | _tagged("test", test) | ended.signals(diverged)

    def best(self, run: int) -> dict[str, tuple[float, int]]:
        """Per metric the best value that run number `run` had, and the step of it."""
        best = self._ended.get(run, self._convergence).best()
        return {
            name: (float(values[run]), int(steps[run])) for name, (values, steps) in best.items()
        }


def _tagged(group: str, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{group}/{name}": value for name, value in values.items()}
