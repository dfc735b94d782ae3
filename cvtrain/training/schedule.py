"""Learning rate schedules: pure functions of the step that give the factor on the learning rate.

The learning rate of update t+1 is lr(t) = lr · factor(t), t = 0, 1, …: one multiplication, so a
learning rate doubled at the start is doubled at every step, bit for bit.
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

Schedule: TypeAlias = Callable[[int], float]


@dataclass(frozen=True)
class Constant:
    """factor(t) = 1."""

    def __call__(self, t: int) -> float:
        """The factor at step t."""
        return 1.0


@dataclass(frozen=True)
class Warmup:
    """factor(t) = min(1, (t + 1) / steps): linear from 1/steps to 1."""

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
    """factor(t) = `factor` ^ ⌊t / `every`⌋."""

    every: int
    factor: float

    def __call__(self, t: int) -> float:
        """The factor at step t."""
        return _finite_power(self.factor, t // self.every)


@dataclass(frozen=True)
class Exponential:
    """factor(t) = `factor` ^ (t / `every`)."""

    every: int
    factor: float

    def __call__(self, t: int) -> float:
        """The factor at step t."""
        return _finite_power(self.factor, t / self.every)


def _finite_power(base: float, exponent: float) -> float:
    """base^exponent, or the largest float where that overflows (as a rising rate may)."""
    try:
        return float(base**exponent)
    except OverflowError:
        return sys.float_info.max


def schedule(kind: str, max_steps: int, **fields: float) -> Schedule:
    """The schedule called `kind`, with its fields as in conf/scheduler.

    Args:
        kind: constant, warmup, cosine, step or exponential.
        max_steps: length of the run in updates.
        fields: `steps` (warmup); `warmup_steps`, `final_factor` (cosine); `every`, `factor` (step,
            exponential).

    Raises:
        ValueError: an unknown kind, or a field out of range, NaN or infinite.
        TypeError: a field that the kind does not have, or one that it needs.
    """
    kinds: dict[str, Callable[..., Schedule]] = {
        "constant": Constant,
        "warmup": Warmup,
        "cosine": lambda **given: Cosine(max_steps, **given),
        "step": Step,
        "exponential": Exponential,
    }
    if kind not in kinds:
        raise ValueError(f"there is no schedule {kind}; there are {', '.join(kinds)}")
    for name, value in fields.items():
        low = 1 if name in ("steps", "every") else 0
        if not (math.isfinite(value) and value >= low):
            raise ValueError(f"{name}={value}: should be a number of at least {low}")
    return kinds[kind](**fields)


def learning_rate_factor(config: BaseModel, max_steps: int) -> Schedule | None:
    """The schedule of a checked `scheduler` section, or None where the learning rate stays.

    Args:
        config: `kind` and its fields.
        max_steps: length of the run in updates.
    """
    fields = config.model_dump()
    kind = fields.pop("kind")
    return None if kind == "constant" else schedule(kind, max_steps, **fields)


def stack_schedules(schedules: Sequence[Schedule]) -> Callable[[int], Tensor]:
    """The factors of K schedules, of any kinds, as one [K] float64 tensor on the host.

    Each is computed on its own: a vectorised power or cosine would round by position in the stack.
    """
    members = tuple(schedules)
    return lambda t: torch.tensor([member(t) for member in members], dtype=torch.float64)
