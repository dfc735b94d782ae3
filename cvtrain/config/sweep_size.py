"""The number of points that a command line asks for, counted before any of them is made.

Hydra would expand a range of any length into memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep

from cvtrain.process.errors import InputError

MOST_POINTS = 100_000
"""Points of a sweep. A point takes some 20 kB and 10 ms to be composed: a quarter of an hour."""


def check_axis(override: Override) -> None:
    """Check that a swept key has at least one value, finite ones, and not too many.

    Raises:
        InputError: with the number of values.
    """
    count = axis_length(override)
    if count == 0:
        raise InputError(f"{override.input_line}: should have at least one value")
    check_points_wanted(count, str(override.input_line))


def check_points_wanted(count: int, asked: str) -> None:
    """Check that a sweep has room for so many points.

    Args:
        count: number of points.
        asked: the text that asks for them, for the error line.

    Raises:
        InputError: with both numbers.
    """
    if count > MOST_POINTS:
        raise InputError(f"{asked}: {_spelled(count)} points; should be at most {MOST_POINTS:,}")


def product_size(overrides: Iterable[Override], variants: int = 1) -> int:
    """Number of points of a command line: the product of its axes' lengths, times `variants`.

    Of two overrides of one key the later one counts.
    """
    lengths = {o.get_key_element(): axis_length(o) for o in overrides if o.is_discrete_sweep()}
    return math.prod(lengths.values()) * variants


def axis_length(override: Override) -> int:
    """Number of values of a swept key; 1 where only a group knows the values.

    Raises:
        InputError: a range that has no length.
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
    except (OverflowError, ValueError):  # of infinity, of NaN
        raise InputError(f"{text}: start, stop and step of a range should be finite") from None
    if step == 0:
        raise InputError(f"{text}: the step of a range should not be zero")
    return max(0, math.ceil((stop - start) / step))


def _spelled(count: int) -> str:
    return f"{count:,}" if count < 10**12 else f"more than {10**12:,}"
