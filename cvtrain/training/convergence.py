"""Numbers from the validations of K runs that say how fast each run converged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor

from cvtrain.config.sections import GoalConfig
from cvtrain.process.errors import InputError

DEFAULT_GOALS = {"classification": ("accuracy", 0.95), "regression": ("nmse", 0.1)}
"""Default metric and value of the goal, by task."""


class Convergence:
    """History of the validations of K runs, and numbers that say how fast each run converged.

    Args:
        goal: metric and value to reach; None: those in `DEFAULT_GOALS`, or no goal if that metric
            is not among `metrics`.
        task: `classification` or `regression`.
        metrics: the validation metrics, including `loss`, and whether larger values are better.
        max_steps: planned number of updates; quarter values are read after a quarter of them.

    Raises:
        InputError: the metric of the goal is not among `metrics`, or never has such a value.
    """

    def __init__(
        self, goal: GoalConfig, task: str, metrics: Mapping[str, bool], max_steps: int
    ) -> None:
        metric, value = DEFAULT_GOALS[task]
        if metric not in metrics:
            metric, value = "loss", math.nan
        self.metric = (goal.metric or metric).removeprefix("val/")
        if self.metric not in metrics:
            raise InputError(f"goal.metric={goal.metric}: should be one of {', '.join(metrics)}")
        if goal.value is None and self.metric not in dict(DEFAULT_GOALS.values()) and goal.metric:
            raise InputError(f"goal.value: should have a value for goal.metric={goal.metric}")
        self.value = goal.value if goal.value is not None else value
        if self.metric == "accuracy" and not 0 < self.value <= 1:
            raise InputError(
                f"goal.value={goal.value}: should be above 0 and at most 1, for it is an accuracy"
            )
        self._metrics = metrics
        self._max_steps = max_steps
        self._steps: list[int] = []
        self._values: dict[str, list[Tensor]] = {name: [] for name in metrics}

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that `signals` returns."""
        at = (
            f"convergence/{when}/{name}"
            for when in ("initial", "quarter")
            for name in self._metrics
        )
        return ("convergence/steps_to_target", "convergence/loss_auc", *at)

    def observe(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Append the validation `values`, [K] by metric, of the weights after `step` updates."""
        if self._steps and self._steps[-1] == step:
            return
        self._steps.append(step)
        for name in self._metrics:
            self._values[name].append(values[name].detach().clone())

    def snapshot(self) -> Convergence:
        """A copy that later observations do not change."""
        other = copy(self)
        other._steps = [*self._steps]
        other._values = {name: [*values] for name, values in self._values.items()}
        return other

    def history(self, name: str) -> list[Tensor]:
        """The values [K] of one metric, one tensor per validation."""
        return list(self._values[name])

    def best(self) -> dict[str, tuple[Tensor, Tensor]]:
        """By metric: its best value and the first step that had it, both [K], on the host."""
        steps = torch.tensor(self._steps)
        best = {}
        for name in self._metrics:
            history = self._history(name)
            order = -history if self._metrics[name] else history
            first = order.nan_to_num(nan=torch.inf).argmin(dim=0)
            best[name] = (history.gather(0, first[None])[0], steps[first])
        return best

    def signals(self, diverged: Tensor) -> dict[str, Tensor]:
        """The convergence numbers, float64 [K], by tag.

        ``convergence/steps_to_target``: first validated step at the goal, infinite if never;
        ``convergence/loss_auc``: area under the validation loss (trapezoids) divided by the number
        of steps, i.e. the mean loss on the way, infinite for `diverged` runs ([K] bool);
        ``convergence/initial/…`` and ``convergence/quarter/…``: the validation before the first
        update, and the first one after a quarter of the planned updates (NaN if never reached).
        """
        steps = torch.tensor(self._steps, dtype=torch.float64)
        goal = self._history(self.metric)
        # Rounded like the metric: 19 of 20 in float32 is below 0.95 in float64.
        wanted = torch.tensor(self.value, dtype=self._values[self.metric][0].dtype).double()
        arrived = goal >= wanted if self._metrics[self.metric] else goal <= wanted
        never = torch.full_like(goal, torch.inf)
        first = torch.where(arrived, steps[:, None], never).amin(dim=0)
        loss = self._history("loss")
        area = torch.trapezoid(loss, steps, dim=0) / steps[-1] if steps[-1] > 0 else loss[0]
        area = torch.where(diverged.cpu(), torch.full_like(area, torch.inf), area)
        quarter = [i for i, step in enumerate(self._steps) if step >= self._max_steps / 4]
        values = {"convergence/steps_to_target": first, "convergence/loss_auc": area}
        for name in self._metrics:
            values[f"convergence/initial/{name}"] = self._history(name)[0]
        for name in self._metrics:
            history = self._history(name)
            late = history[quarter[0]] if quarter else torch.full_like(history[0], torch.nan)
            values[f"convergence/quarter/{name}"] = late
        return values

    def state_dict(self, run: int) -> dict[str, Any]:
        """The validations of run number `run`: their steps, and values [validations] by metric."""
        values_by_metric = {
            name: torch.stack([values[run] for values in history])
            for name, history in self._values.items()
        }
        return {"steps": list(self._steps), "seen": values_by_metric}

    def load_state_dict(self, states: Sequence[Mapping[str, Any]], device: torch.device) -> None:
        """Restore the states that `state_dict` returned for each of the K runs.

        Raises:
            ValueError: the runs were validated at different steps.
        """
        self._steps = list(states[0]["steps"])
        if any(state["steps"] != self._steps for state in states):
            raise ValueError("validated at different steps")
        for name in self._metrics:
            histories = torch.stack([state["seen"][name] for state in states], dim=1)
            self._values[name] = list(histories.to(device).unbind(0))

    def _history(self, name: str) -> Tensor:
        return torch.stack(self._values[name]).to("cpu", torch.float64)
