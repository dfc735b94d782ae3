"""Learning rate schedules: pure functions from the step to a factor on the learning rate.

The learning rate of update t+1 is lr(t) = lr · factor(t), t = 0, 1, …. It is a single
multiplication, so a doubled learning rate is doubled at every step, bit for bit.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from pydantic import BaseModel
from torch import Tensor

from cvtrain.config.sections import CustomScheduleConfig
from cvtrain.training.custom_schedule import custom_schedule

Schedule: TypeAlias = Callable[[int], float]


@dataclass(frozen=True)
class Constant:
    """The learning rate is constant: factor(t) = 1."""

    def __call__(self, t: int) -> float:
        """The factor at step t."""
        return 1.0


@dataclass(frozen=True)
class Warmup:
    """Linear warm-up from 1/`steps` to 1: factor(t) = min(1, (t + 1) / `steps`)."""

    steps: int

    def __call__(self, t: int) -> float:
        """The factor at step t."""
        return min(1.0, (t + 1) / self.steps)


@dataclass(frozen=True)
class Cosine:
    """Linear warm-up over W = `warmup_steps`, then half a cosine from 1 to F = `final_factor`.

    factor(t) = F + (1 − F) · ½ (1 + cos(π (t − W) / (max_steps − W))) for t ≥ W, and F from
    t = max_steps on (Loshchilov and Hutter 2017, SGDR, without restarts).
    """

    max_steps: int
    warmup_steps: int = 0
    final_factor: float = 0.0

    def __call__(self, t: int) -> float:
        """The factor at step t."""
        if t < self.warmup_steps:
            return (t + 1) / self.warmup_steps
        if t >= self.max_steps:
            return self.final_factor
        progress = (t - self.warmup_steps) / (self.max_steps - self.warmup_steps)
        return self.final_factor + (1 - self.final_factor) * 0.5 * (
            1 + math.cos(math.pi * progress)
        )


@dataclass(frozen=True)
class Step:
    """A factor after every so many steps: factor(t) = `factor` ^ ⌊t / `every`⌋."""

    every: int
    factor: float

    def __call__(self, t: int) -> float:
        """The factor at step t."""
        return _finite_power(self.factor, t // self.every)


@dataclass(frozen=True)
class Exponential:
    """Exponential decay (or growth): factor(t) = `factor` ^ (t / `every`)."""

    every: int
    factor: float

    def __call__(self, t: int) -> float:
        """The factor at step t."""
        return _finite_power(self.factor, t / self.every)


def _finite_power(base: float, exponent: float) -> float:
    """base^exponent, or the largest float if that overflows, as a growing rate may."""
    try:
        return float(base**exponent)
    except OverflowError:
        return sys.float_info.max


def schedule(kind: str, max_steps: int, **fields: float) -> Schedule:
    """Construct the schedule called `kind`, with its fields as in conf/scheduler.

    Args:
        kind: constant, warmup, cosine, step or exponential.
        max_steps: length of the run in updates.
        fields: `steps` (warmup); `warmup_steps`, `final_factor` (cosine); `every`, `factor` (step,
            exponential).

    Raises:
        ValueError: the kind is unknown, or a field is out of range, NaN or infinite.
        TypeError: the kind does not have a field, or a field is missing.
    """
    kinds: dict[str, Callable[..., Schedule]] = {
        "constant": Constant,
        "warmup": Warmup,
        "cosine": lambda **own: Cosine(max_steps, **own),
        "step": Step,
        "exponential": Exponential,
    }
    if kind not in kinds:
        raise ValueError(f"kind={kind}: should be one of {', '.join(kinds)}")
    for name, value in fields.items():
        low = 1 if name in ("steps", "every") else 0
        if not (math.isfinite(value) and value >= low):
            raise ValueError(f"{name}={value}: should be a number of at least {low}")
    return kinds[kind](**fields)


def learning_rate_factor(
    config: BaseModel, max_steps: int, trusted: tuple[str, ...] = ()
) -> Schedule | None:
    """The schedule of a checked `scheduler` section, or None if the learning rate is constant.

    Args:
        config: a section with `kind` and the fields of that kind.
        max_steps: length of the run in updates.
        trusted: packages of the user.

    Raises:
        InputError: a user's own schedule is not valid.
    """
    if isinstance(config, CustomScheduleConfig):
        return custom_schedule(config, max_steps, trusted)
    fields = config.model_dump()
    kind = fields.pop("kind")
    return None if kind == "constant" else schedule(kind, max_steps, **fields)


def stack_schedules(schedules: Sequence[Schedule]) -> Callable[[int], Tensor]:
    """A function from the step to the factors of K schedules of any kinds, [K] float64 on the CPU.

    Each factor is computed separately, because the rounding of a vectorised power or cosine depends
    on the position in the stack.
    """
    members = tuple(schedules)
    return lambda t: torch.tensor([member(t) for member in members], dtype=torch.float64)
