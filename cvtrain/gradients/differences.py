"""Derivatives of a function of one variable by finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable

STEPS = (1.0, 0.1, 0.01, 0.001, 10.0)
"""Step lengths in units of ε^¼ times the size of the weights, tried in this order. In a network
with many piecewise linear activations every step but the smallest contains a kink."""
NEAR = (0.001, 0.0001)
"""Smaller step lengths with which a disagreement is checked again."""


def slope_at_zero(
    at: Callable[[float], float],
    unit: float,
    enough: float,
    rounding: float,
    steps: tuple[float, ...] = STEPS,
) -> tuple[float, float]:
    """The derivative of a function at 0 by central differences, and the distance between its
    estimates.

    Args:
        at: the function.
        unit: length of which `steps` are multiples.
        enough: uncertainty below which no further steps are tried.
        rounding: rounding error of the function's values; two estimates may agree by chance.
        steps: step lengths in the order in which they are tried.
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
