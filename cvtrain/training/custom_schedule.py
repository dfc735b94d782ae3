"""A user's own learning rate schedule, or one of torch's, as a table of factors."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from inspect import isclass, signature
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler

from cvtrain.config.own_code import called_with, construct
from cvtrain.config.sections import CustomScheduleConfig
from cvtrain.config.targets import resolve_target
from cvtrain.process.errors import InputError, describe_error


@dataclass(frozen=True)
class Tabulated:
    """factor(t) from a table with one factor per update; after its end the last factor."""

    factors: tuple[float, ...]

    def __call__(self, t: int) -> float:
        """The factor at step t."""
        return self.factors[min(t, len(self.factors) - 1)]


def custom_schedule(
    section: CustomScheduleConfig, max_steps: int, trusted: tuple[str, ...]
) -> Tabulated:
    """The factors that a function of the step returns, or by which a scheduler derived from torch's
    multiplies a learning rate of 1.

    An argument `max_steps` (or `total_steps`, torch's name for it) is filled in.

    Raises:
        InputError: the class or function is not valid, or a factor is not a finite number ≥ 0.
    """
    target = resolve_target("scheduler", section.target, LRScheduler, trusted, anything=True)
    arguments = json.dumps(section.arguments, sort_keys=True)
    return _tabulated(target, section.target, arguments, max_steps)


@lru_cache
def _tabulated(target: Callable[..., Any], path: str, arguments: str, max_steps: int) -> Tabulated:
    keywords = json.loads(arguments)
    filled = {"max_steps": max_steps, "total_steps": max_steps}
    if isclass(target) and issubclass(target, LRScheduler):
        rates = _rates(target, keywords, filled)
    else:
        function = called_with("scheduler", target, keywords, LRScheduler, ("step",), filled)
        rates = (function(step) for step in range(max_steps))
    factors: list[float] = []
    try:
        for _, rate in zip(range(max_steps), rates, strict=False):
            factors.append(float(rate))
    except InputError:
        raise
    except Exception as error:  # a user's function may raise anything
        where = f"scheduler._target_={path}: at step {len(factors)}"
        raise InputError(f"{where}: {describe_error(error)}") from error
    for step, factor in enumerate(factors):
        if not (math.isfinite(factor) and factor >= 0):
            raise InputError(
                f"scheduler._target_={path}: should be a finite factor of at least 0, is {factor}"
                f" at step {step}"
            )
    return Tabulated(tuple(factors))


def _rates(
    target: type[LRScheduler], keywords: dict[str, Any], filled: dict[str, int]
) -> Iterator[Any]:
    """The learning rates of an optimizer that starts at 1, before each of its updates."""
    optimizer = torch.optim.SGD([torch.zeros((), requires_grad=True)], lr=1.0)
    taken = signature(target).parameters
    fills = {name: value for name, value in filled.items() if name in taken}
    scheduler = construct("scheduler", target, keywords, {"optimizer": optimizer, **fills})
    while True:
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()
