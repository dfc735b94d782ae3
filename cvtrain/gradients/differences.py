"""Derivatives of a function of one number, by differences of it."""

from __future__ import annotations

import math
from collections.abc import Callable

STEPS = (1.0, 0.1, 0.01, 0.001, 10.0)
"""In ε^¼ times the size of the weights, tried in this order. A network of many activations with a
kink has one within every step but the smallest."""
NEAR = (0.001, 0.0001)
"""The steps with which a disagreement is looked at again."""


def slope_at_zero(
    at: Callable[[float], float],
    unit: float,
    enough: float,
    rounding: float,
    steps: tuple[float, ...] = STEPS,
) -> tuple[float, float]:
    """The derivative of a function at 0 by central differences, and how far estimates are apart.

    Args:
        at, unit: the function, and a length of which `steps` are multiples.
        enough: uncertainty with which no further steps are tried.
        rounding: of the function's values; two estimates may agree by chance.
        steps: tried in this order.
    """
    best, least = 0.0, math.inf
    for step in steps:
        t = step * unit
        wide, narrow = ((at(d) - at(-d)) / (2 * d) for d in (t, t / 2))
        if abs(wide - narrow) + rounding / t < least:
            best, least = (4 * narrow - wide) / 3, abs(wide - narrow) + rounding / t
        if least <= enough:
            break
    return best, least
