"""Arms against their reference: shifts in octaves, and the cost of keeping the learning rate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from cvtrain.analysis.arms import CONTROL
from cvtrain.analysis.comparison import Arm, Comparison, Group
from cvtrain.analysis.difference import SameRate
from cvtrain.analysis.metric import ACCURACY
from cvtrain.report.figures.learning_rates import arm_indices
from cvtrain.report.figures.panels import Panels, name_ticks, rows_for
from cvtrain.report.figures.style import COLOURS, MARKERS, error_name, paper_style, style_of
from cvtrain.report.figures.ticks import common_limits, logarithmic, octave_axis

LANDMARKS = (("best", "best learning rate"), ("cliff", "cliff"), ("window", "window"))
LEAST_RANGE = 0.6
"""Smallest half-range of the axis in octaves: a smaller one would make rounding look like a
shift."""
MARGINS = 8
"""Half-range of the axis of differences in margins; values beyond are drawn in a band."""
BEYOND = "in the band: worse than the axis shows, or the goal was never reached"


@paper_style
def shifts(comparison: Comparison) -> Panels | None:
    """Shifts of best rate, cliff and window in octaves with 95 % intervals, and the shift that the
    law predicts (a bar): one panel per group, one row per arm.

    Returns:
        None if no arm has several learning rates.
        None where no arm of several learning rates is compared.
    """
    groups = [group for group in comparison.groups if any(map(_has_shift, compared(group)))]
    if not groups:
        return None
    columns = min(len(groups), 2)
    figure = Panels(rows_for(len(groups), columns), columns, names=True)
    for axes, group in zip(figure.grid.ravel(), groups, strict=False):
        _shifts(axes, group, comparison)
    common_limits(figure.grid.ravel(), "x")
    return figure.finish()


@paper_style
def prices(comparison: Comparison) -> Panels | None:
    """Costs of keeping the learning rate, over the learning rate that arm and reference share: one
    row of panels per group.

    Left: difference of the test metric from the reference with 95 % intervals, where more is worse.
    Right: ratio of steps to the goal. A band above holds values beyond the axis and runs that never
    reach the goal.

    Returns:
        None if no arm shares a learning rate with its reference.
    """
    groups = [group for group in comparison.groups if compared(group)]
    if not groups:
        return None
    figure = Panels(len(groups), 2)
    indices = arm_indices(comparison)
    for (difference, ratio), group in zip(figure.grid, groups, strict=True):
        _differences(figure, difference, group, indices)
        _ratios(figure, ratio, group, indices)
        for axes, level in ((difference, 0.0), (ratio, 1.0)):
            axes.axhline(level, color="0.3", linewidth=0.7)
            axes.set_title(f"{group.name}: kept at the reference’s rate")
            octave_axis(axes, "learning rate, the same for both")
    for column in figure.grid.T:
        common_limits(column, "y")
    return figure.finish(BEYOND)


def compared(group: Group) -> list[Arm]:
    """The arms that share a learning rate with the reference, without the reference itself."""
    return [arm for arm in group.arms if arm.name != group.reference and arm.prices]


def _has_shift(arm: Arm) -> bool:
    shift = arm.octaves
    return shift is not None and any(getattr(shift, name).seeds for name, _ in LANDMARKS)


def _shifts(axes: Axes, group: Group, comparison: Comparison) -> None:
    arms = [arm for arm in compared(group) if arm.octaves is not None]
    for row, arm in enumerate(arms):
        for index, (attribute, label) in enumerate(LANDMARKS):
            shift = getattr(arm.octaves, attribute)
            if shift.seeds:
                ends = [shift.mean - shift.low], [shift.high - shift.mean]
                axes.errorbar(
                    [shift.mean],
                    [row + 0.22 * (index - 1)],
                    xerr=None if math.isnan(shift.low) else np.maximum(ends, 0),
                    fmt=MARKERS[index],
                    color=COLOURS[index],
                    linewidth=1.0,
                    label=label,
                )
        predicted = comparison.predicted_shifts.get((group.name, arm.name), math.nan)
        if arm.name != CONTROL and not math.isnan(predicted):
            axes.vlines(predicted, row - 0.4, row + 0.4, color="0.2", label="by the law")
    axes.axvline(0.0, color="0.5", linewidth=0.6)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -LEAST_RANGE), max(high, LEAST_RANGE))
    name_ticks(axes, [arm.name for arm in arms])
    axes.set_xlabel("shift, octaves")
    axes.set_title(group.name)


def _differences(figure: Panels, axes: Axes, group: Group, indices: dict[str, int]) -> None:
    factor = (-1 if group.rising else 1) * (100 if group.metric == ACCURACY else 1)
    limit = MARGINS * group.margin * abs(factor)
    for arm in compared(group):
        lr = np.array([price.lr for price in arm.prices])
        mean, *ends = (
            factor * np.array([getattr(price.difference, name) for price in arm.prices])
            for name in ("mean", "low", "high")
        )
        within = np.abs(mean) <= limit if limit > 0 else np.isfinite(mean)
        shown = np.where(within, mean, np.nan)
        errors = shown - np.minimum(*ends), np.maximum(*ends) - shown
        index = indices.get(arm.name)
        _line(axes, lr, shown, errors, index, arm.name)
        figure.mark_failed(axes, lr[~within & (mean > 0)], index, "beyond")
        for rate in lr[~within & (mean < 0)]:
            axes.annotate(
                "↓", (rate, 0), xycoords=axes.get_xaxis_transform(), color=style_of(index)["color"]
            )
    if limit > 0:
        bottom, top = axes.get_ylim()
        axes.set_ylim(max(bottom, -limit), min(top, limit))
    unit = ", points more" if group.metric == ACCURACY else " more"
    axes.set_ylabel(f"{error_name(group.metric).removesuffix(', %')}{unit}")


def _ratios(figure: Panels, axes: Axes, group: Group, indices: dict[str, int]) -> None:
    for arm in compared(group):
        lr = np.array([price.lr for price in arm.prices])
        index = indices.get(arm.name)
        _line(axes, lr, np.array(list(map(_ratio, arm.prices))), None, index, arm.name)
        never = np.array([math.isinf(price.steps) for price in arm.prices])
        figure.mark_failed(axes, lr[never], index, "never")
    logarithmic(axes)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.5), max(high, 2.0))
    axes.set_ylabel("steps to the goal, ratio")


def _line(
    axes: Axes,
    lr: np.ndarray,
    values: np.ndarray,
    errors: Any,
    index: int | None,
    label: str,
) -> None:
    if errors is None or np.isnan(np.array(errors)).all():
        axes.plot(lr, values, label=label, **style_of(index))
    else:
        bars = np.maximum(np.nan_to_num(np.array(errors)), 0)
        axes.errorbar(lr, values, bars, label=label, capsize=2, elinewidth=1, **style_of(index))


def _ratio(price: SameRate) -> float:
    """Ratio of steps to the goal; NaN if one side never reaches it, or has reached it at step 0."""
    both = (price.steps, price.reference_steps)
    return price.steps / price.reference_steps if all(0 < n < math.inf for n in both) else math.nan


def worst_price(group: Group) -> tuple[Arm, SameRate] | None:
    """The arm and learning rate at which the result is worst compared with the reference's, without
    the jitter control; None if no arm is worse at any rate."""
    sign = -1 if group.rising else 1
    pairs = [(arm, price) for arm in compared(group) if arm.name != CONTROL for price in arm.prices]
    known = [pair for pair in pairs if sign * pair[1].difference.mean > 0]
    return max(known, key=lambda pair: sign * pair[1].difference.mean, default=None)
