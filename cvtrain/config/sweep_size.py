"""Count the points that a command line stands for before any of them is made.

Hydra would expand a range of any length into memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep

from cvtrain.process.errors import InputError

MOST_POINTS = 100_000
"""Largest number of points of a sweep. A point takes some 20 kB and 10 ms to compose: a quarter of
an hour in total."""


def check_axis(override: Override) -> None:
    """Check that a swept key has at least one value, only finite ones, and not too many.

    Raises:
        InputError: the values are not valid; the message gives their number.
    """
    count = axis_length(override)
    if count == 0:
        raise InputError(f"{override.input_line}: should have at least one value")
    check_points_wanted(count, str(override.input_line))


def check_points_wanted(count: int, asked: str) -> None:
    """Check that a sweep may have this many points.

    Args:
        count: number of points.
        asked: the text that stands for them, for the error message.

    Raises:
        InputError: there are too many; the message gives both numbers.
    """
    if count > MOST_POINTS:
        raise InputError(f"{asked}: {_spelled(count)} points; should be at most {MOST_POINTS:,}")


def product_size(overrides: Iterable[Override], variants: int = 1) -> int:
    """Number of points of a command line: the product of its axes' lengths, times `variants`.

    If a key has two overrides, the later one counts.
    """
    lengths = {o.get_key_element(): axis_length(o) for o in overrides if o.is_discrete_sweep()}
    return math.prod(lengths.values()) * variants


def axis_length(override: Override) -> int:
    """Number of values of a swept key; 1 if only the group knows its choices.

    Raises:
        InputError: a range has no finite length.
    """
    swept = override.value()
    if isinstance(swept, RangeSweep):
        return _range_length(swept, str(override.input_line))
    return len(swept.list) if isinstance(swept, ChoiceSweep) else 1


def _range_length(swept: RangeSweep, text: str) -> int:
    assert swept.start is not None
    assert swept.stop is not None
    try:
        start, stop, step = map(Fraction, (swept.start, swept.stop, swept.step))
    except (OverflowError, ValueError):  # infinity, NaN
        raise InputError(f"{text}: start, stop and step of a range should be finite") from None
    if step == 0:
        raise InputError(f"{text}: the step of a range should not be zero")
    return max(0, math.ceil((stop - start) / step))


def _spelled(count: int) -> str:
    return f"{count:,}" if count < 10**12 else f"more than {10**12:,}"
