"""Arms against their reference: shifts in octaves, and the cost of keeping the learning rate."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cvtrain.analysis.arms import CONTROL
from cvtrain.analysis.metric import ACCURACY
from cvtrain.analysis.scores import Arm, Comparison, Group, SameRate
from cvtrain.report.figures.learning_rates import arm_indices, metric_name
from cvtrain.report.figures.style import (
    COLOURS,
    MARKERS,
    MOST_COLUMNS,
    legend_below,
    light_grid,
    new_figure,
    octave_axis,
    paper_style,
    style_of,
)

LANDMARKS = (("best", "best learning rate"), ("cliff", "cliff"), ("window", "window"))
LEAST_RANGE = 0.6
"""Octaves to either side; a smaller range would make rounding look like a shift."""


@paper_style
def shifts(comparison: Comparison) -> Figure:
    """Per group a panel, per arm a row: octaves that best rate, cliff and window move, with 95 %
    intervals, and where the law puts all three (a bar)."""
    groups = [group for group in comparison.groups if any(_compared(group))]
    columns = max(min(len(groups), MOST_COLUMNS), 1)
    figure = new_figure(columns, -(-len(groups) // columns) * 0.85)
    grid = figure.subplots(-(-len(groups) // columns) or 1, columns, squeeze=False).ravel()
    for number, (axes, group) in enumerate(zip(grid, groups, strict=False)):
        _shifts(axes, group, comparison, named=number % columns == 0)
    for axes in grid[len(groups) :]:
        axes.set_visible(False)
    legend_below(figure, columns=4)
    return figure


@paper_style
def prices(comparison: Comparison) -> Figure:
    """Per group a column, over the learning rate that both sides share: the difference of the test
    metric from the reference (with 95 % intervals), and the ratio of steps to the target."""
    groups = [group for group in comparison.groups if any(_compared(group))]
    columns = max(min(len(groups), MOST_COLUMNS), 1)
    lines = -(-len(groups) // columns) or 1
    figure = new_figure(columns, 2 * lines)
    grid = figure.subplots(2 * lines, columns, squeeze=False)
    indices = arm_indices(comparison)
    for number, group in enumerate(groups):
        upper, lower = grid[2 * (number // columns) :, number % columns][:2]
        for arm in _compared(group):
            _price(upper, lower, group, arm, indices.get(arm.name))
        unit = "points" if group.metric == ACCURACY else ""
        upper.set_ylabel(f"Δ {metric_name(group.metric).removesuffix(', %')} {unit}".strip())
        lower.set_ylabel("× steps to target")
        upper.set_title(group.name)
        # Linear up to about the margin: lost runs cost far more.
        upper.set_yscale("symlog", linthresh=_linear(group))
        for axes, level in ((upper, 0.0), (lower, 1.0)):
            axes.axhline(level, color="0.3", linewidth=0.7)
            octave_axis(axes, "learning rate, the same for both" if axes is lower else "")
            light_grid(axes)
    for axes in grid.ravel():
        if not axes.has_data():
            axes.set_visible(False)
    legend_below(figure)
    return figure


def _linear(group: Group) -> float:
    margin = 100 * group.margin if group.metric == ACCURACY else group.margin
    return 2 * margin if margin > 0 else 1.0


def _ratio(price: SameRate) -> float:
    """Ratio of the steps to the target; NaN where one side never reaches it, or begins there."""
    both = (price.steps, price.reference_steps)
    return price.steps / price.reference_steps if all(0 < n < math.inf for n in both) else math.nan


def _compared(group: Group) -> list[Arm]:
    return [arm for arm in group.arms if arm.name != group.reference and arm.prices]


def _shifts(axes: Axes, group: Group, comparison: Comparison, *, named: bool) -> None:
    arms = [arm for arm in _compared(group) if arm.octaves is not None]
    for row, arm in enumerate(arms):
        assert arm.octaves is not None
        for index, (attribute, label) in enumerate(LANDMARKS):
            shift = getattr(arm.octaves, attribute)
            if not shift.seeds:
                continue
            height = row + 0.22 * (index - 1)
            ends = [shift.mean - shift.low], [shift.high - shift.mean]
            axes.errorbar(
                [shift.mean],
                [height],
                xerr=None if math.isnan(shift.low) else np.maximum(ends, 0),
                fmt=MARKERS[index],
                color=COLOURS[index],
                linewidth=1.0,
                label=label,
            )
        if arm.name != CONTROL:
            predicted = comparison.predicted_shifts[group.name, arm.name]
            if not math.isnan(predicted):
                axes.vlines(predicted, row - 0.4, row + 0.4, color="0.2", label="by the law")
    axes.axvline(0.0, color="0.5", linewidth=0.6)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -LEAST_RANGE), max(high, LEAST_RANGE))
    axes.set_yticks(range(len(arms)), [arm.name if named else "" for arm in arms])
    axes.set_ylim(len(arms) - 0.5, -0.5)
    axes.set_xlabel("shift, octaves")
    axes.set_title(group.name)
    light_grid(axes)


def _price(upper: Axes, lower: Axes, group: Group, arm: Arm, index: int | None) -> None:
    factor = 100 if group.metric == ACCURACY else 1
    lr = np.array([price.lr for price in arm.prices])
    mean, low, high = (
        factor * np.array([getattr(price.difference, name) for price in arm.prices])
        for name in ("mean", "low", "high")
    )
    ratio = np.array([_ratio(price) for price in arm.prices])
    if index is None:
        upper.fill_between(lr, low, high, color="0.6", alpha=0.45, label=f"{CONTROL} (95 %)")
        lower.plot(lr, ratio, color="0.6", linewidth=3, alpha=0.6)
        return
    style = style_of(index)
    upper.errorbar(lr, mean, [mean - low, high - mean], label=arm.name, capsize=2, **style)
    lower.plot(lr, ratio, **style)
