"""The search space of a search: `hydra.sweeper.search.space`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from cvtrain.process.errors import InputError

RANGE_KEYS = {"low", "high", "log", "step"}
EXAMPLE = "should be a list of values, or {low: …, high: …} with log or step"


def read_space(content: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """The distributions of a search's keys.

    Args:
        content: for each key of the configuration a list of values, or a range: ``low`` and
            ``high``, with ``log: true`` or a ``step``; a range of integers if both ends are
            integers.

    Returns:
        distributions by key; values of a list are texts, as on the command line.

    Raises:
        InputError: the space is empty or not valid.
    """
    if not content:
        raise InputError("hydra.sweeper.search.space: there is nothing to choose from")
    return {str(key): _distribution(str(key), value) for key, value in content.items()}


def _distribution(key: str, value: Any) -> BaseDistribution:
    label = f"hydra.sweeper.search.space.{key}"
    if isinstance(value, list | tuple):
        if not value:
            raise InputError(f"{label}: {EXAMPLE}")
        return CategoricalDistribution([override_text(choice) for choice in value])
    if not isinstance(value, Mapping) or not {"low", "high"} <= value.keys() <= RANGE_KEYS:
        raise InputError(f"{label}: {EXAMPLE}")
    low, high, log, step = (value.get(name) for name in ("low", "high", "log", "step"))
    numbers = [low, high] if step is None else [low, high, step]
    if not all(_is_number(number) for number in numbers):
        raise InputError(f"{label}: low, high and step should be finite numbers")
    kind: Any = FloatDistribution
    if isinstance(low, int) and isinstance(high, int) and isinstance(step, int | None):
        kind = IntDistribution
        step = 1 if step is None else step
    try:
        distribution: BaseDistribution = kind(low=low, high=high, log=bool(log), step=step)
    except ValueError as error:
        raise InputError(f"{label}: {error}") from None
    return distribution


def override_text(value: Any) -> str:
    """A value in the notation of the command line: ``[0.9,0.999]``, ``null``, ``true``."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(override_text, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def corners(space: Mapping[str, BaseDistribution]) -> list[dict[str, Any]]:
    """Choices that together contain every listed value and both ends of every range."""
    ends = {key: _ends(distribution) for key, distribution in space.items()}
    most = max(len(values) for values in ends.values())
    return [{key: values[k % len(values)] for key, values in ends.items()} for k in range(most)]


def _ends(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return [distribution.low, distribution.high]


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)
