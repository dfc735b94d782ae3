"""Axes with a few readable tick labels: 0.02, 0.5, 10⁻⁵, 2⁻³."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from cvtrain.report.cells import number_text, superscript

LEAST_TICKS, MOST_TICKS = 3, 7
BETWEEN = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7))
"""Candidate multiples of powers of ten for ticks of a logarithmic axis."""
WITHIN = 1e-9
"""Relative distance within which a tick at the end of an axis still belongs to it."""


def octave_axis(axes: Axes, label: str) -> None:
    """Make the x axis logarithmic with powers of two as ticks, if it shows any positive value."""
    axes.set_xlabel(label)
    if np.isfinite(axes.dataLim.minposx):
        axes.set_xscale("log", base=2)
        low, high = axes.get_xlim()
        exponents = octave_ticks(math.log2(low), math.log2(high))
        _fix(axes.xaxis, [2.0**e for e in exponents], [f"2{superscript(e)}" for e in exponents])


def logarithmic(axes: Axes) -> None:
    """Make the y axis logarithmic, if it shows any positive value."""
    if np.isfinite(axes.dataLim.minposy):
        axes.set_yscale("log")
        label_logarithm(axes)


def label_logarithm(axes: Axes) -> None:
    """Choose the ticks of a logarithmic y axis again, after its limits were set."""
    ticks = log_ticks(*axes.get_ylim())
    _fix(axes.yaxis, ticks, [number_label(tick) for tick in ticks])


def octave_ticks(low: float, high: float) -> list[int]:
    """At most `MOST_TICKS` equally spaced whole numbers from `low` to `high`."""
    first, last = math.ceil(low - WITHIN), math.floor(high + WITHIN)
    step = max(1, -(-(last - first + 1) // MOST_TICKS))
    return [number for number in range(first, last + 1) if number % step == 0]


def log_ticks(low: float, high: float) -> list[float]:
    """Three to seven ticks on a logarithmic axis: powers of ten with the fewest numbers between
    them that give three ticks, or else multiples of one step."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    step = max(1, -(-(last - first) // MOST_TICKS))
    powers = [10.0**exponent for exponent in range(first, last + 1) if exponent % step == 0]
    for factors in BETWEEN:
        ticks = [factor * power for power in powers for factor in factors]
        within = [tick for tick in ticks if low * (1 - WITHIN) <= tick <= high * (1 + WITHIN)]
        if len(within) >= LEAST_TICKS:
            return within
    steps = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in steps if low <= tick <= high and tick > 0]


def number_label(value: float) -> str:
    """Format a tick label, e.g. ``0.02``, ``50``, ``10⁻⁵``, ``3×10⁵``."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return number_text(value)
    exponent = math.floor(math.log10(abs(value)) + WITHIN)
    power = f"10{superscript(exponent)}"
    factor = number_text(value / 10.0**exponent, ".3g")
    return power if factor == "1" else f"{factor}×{power}"


def common_limits(panels: Iterable[Axes], axis: str) -> None:
    """Give panels that are compared the same x or y axis, which covers all their data.

    Args:
        panels: the panels; those without data are left unchanged.
        axis: ``x`` or ``y``.
    """
    drawn = [axes for axes in panels if axes.has_data()]
    # A panel without positive values has no logarithmic axis and is not compared on one.
    for scale in {getattr(axes, f"get_{axis}scale")() for axes in drawn}:
        alike = [axes for axes in drawn if getattr(axes, f"get_{axis}scale")() == scale]
        limits = [getattr(axes, f"get_{axis}lim")() for axes in alike]
        common = min(low for low, _ in limits), max(high for _, high in limits)
        for axes in alike:
            getattr(axes, f"set_{axis}lim")(common)
            if axis == "y" and scale == "log":
                label_logarithm(axes)


def _fix(axis: Axis, ticks: Sequence[float], labels: Sequence[str]) -> None:
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FixedFormatter(labels))
    axis.set_minor_locator(NullLocator())
