"""The outcome over the learning rate, per arm: curves, effective-rate curves, heat maps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cvtrain.analysis.answer import Answers
from cvtrain.analysis.arms import CONTROL
from cvtrain.analysis.effective_lr import effective_rates
from cvtrain.analysis.metric import ACCURACY
from cvtrain.analysis.scores import Arm, Comparison, Group
from cvtrain.report.answers import factor_octaves
from cvtrain.report.figures.style import (
    COLOURS,
    MOST_COLUMNS,
    band,
    legend_below,
    light_grid,
    logarithmic,
    new_figure,
    octave_axis,
    paper_style,
    style_of,
)

Rates = Callable[[pd.DataFrame], "pd.Series[float]"]


@paper_style
def learning_rate_curves(comparison: Comparison) -> Figure:
    """Per group a column: validation loss and test metric against the learning rate, per arm.

    Lines are means over seeds, bands their range; the jitter control is a grey band. A cross at
    the top marks a learning rate at which a run of the arm did not finish; it has no mean.
    """
    return _grid(comparison, 2, lambda rows: rows["optimizer.lr"], "learning rate")


@paper_style
def registered_curves(comparison: Comparison, answers: Answers) -> Figure | None:
    """Per group a row: median validation loss over the learning rate as measured (left), and over
    the learning rate divided by the factor that the arm's answer gives (right): where the factor is
    right, the curves coincide. The jitter control is grey; a cross at the top marks a learning rate
    at which half of the runs fail.

    Returns:
        None where no arm of several learning rates has an answer.
    """
    groups = [
        group
        for group in comparison.groups
        if any((group.name, arm.name) in answers for arm in group.arms)
        and any(len(arm.grid.octaves) > 1 for arm in group.arms)
    ]
    if not groups:
        return None
    figure = new_figure(2, 0.95 * len(groups))
    indices = arm_indices(comparison)
    lines = figure.subplots(len(groups), 2, squeeze=False, sharey="row")
    for (measured, moved), group in zip(lines, groups, strict=True):
        for arm in group.arms:
            index = indices.get(arm.name)
            _median_curve(measured, arm, 0.0, index)
            answer = answers.get((group.name, arm.name))
            octaves = 0.0 if answer is None else factor_octaves(answer)
            if not math.isnan(octaves):
                _median_curve(moved, arm, octaves, index)
        measured.set_title(f"{group.name}: as measured")
        moved.set_title(f"{group.name}: moved by each arm's factor")
        logarithmic(measured)
        measured.set_ylabel("validation loss")
        last = group is groups[-1]
        octave_axis(measured, "learning rate" if last else "")
        octave_axis(moved, "learning rate / factor" if last else "")
        for axes in (measured, moved):
            light_grid(axes)
    legend_below(figure)
    return figure


def _median_curve(axes: Axes, arm: Arm, octaves: float, index: int | None) -> None:
    rates = 2.0 ** (arm.grid.octaves - octaves)
    losses = arm.grid.median_loss
    if index is None:
        style: dict[str, Any] = {"color": "0.6", "linewidth": 3, "alpha": 0.6}
    else:
        style = style_of(index)
    axes.plot(rates, np.where(np.isinf(losses), np.nan, losses), label=arm.name, **style)
    lost = rates[np.isinf(losses)]
    height = np.full(len(lost), 0.97 - 0.05 * (index or 0))
    transform = axes.get_xaxis_transform()
    axes.plot(lost, height, "x", color=style["color"], transform=transform)


@paper_style
def effective_rate_curves(comparison: Comparison) -> Figure:
    """Validation loss against the effective learning rate: lr × the factor that the law leaves.

    Where the curves of arms coincide, the factor only rescales the learning rate.
    """
    return _grid(comparison, 1, effective_rates, "effective learning rate")


@paper_style
def heat_maps(comparison: Comparison) -> Figure:
    """Per group a panel: the mean test metric of every arm at every learning rate.

    A cross marks a learning rate at which a run diverged or failed.
    """
    groups = comparison.groups
    columns = min(len(groups), 2)
    rows = -(-len(groups) // columns)
    figure = new_figure(columns, rows, extra=0.3)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, group in zip(grid, groups, strict=False):
        _heat_map(axes, group, comparison.runs[comparison.runs["group"] == group.name])
    for axes in grid[len(groups) :]:
        axes.set_visible(False)
    return figure


def arm_indices(comparison: Comparison) -> dict[str, int]:
    """An index into the line styles for every arm, so that a colour means one arm everywhere."""
    names = (arm.name for group in comparison.groups for arm in group.arms if arm.name != CONTROL)
    return {name: index for index, name in enumerate(dict.fromkeys(names))}


def metric_name(metric: str) -> str:
    """The label of an axis that shows a test metric."""
    return "test accuracy, %" if metric == ACCURACY else metric.replace("/", " ")


def _grid(comparison: Comparison, kinds: int, rates: Rates, label: str) -> Figure:
    groups = comparison.groups
    columns = min(len(groups), MOST_COLUMNS)
    lines = -(-len(groups) // columns)
    figure = new_figure(columns, kinds * lines)
    grid = figure.subplots(kinds * lines, columns, squeeze=False)
    indices = arm_indices(comparison)
    for number, group in enumerate(groups):
        rows = comparison.runs[comparison.runs["group"] == group.name]
        panels = grid[kinds * (number // columns) :, number % columns][:kinds]
        for axes, column in zip(panels, ("score", group.metric), strict=False):
            _curves(axes, group, rows.assign(rate=rates(rows)), column, indices)
        panels[0].set_title(group.name)
        logarithmic(panels[0])
        panels[0].set_ylabel("validation loss")
        panels[-1].set_xlabel(label)
        if kinds == 2:
            panels[1].set_ylabel(metric_name(group.metric))
    for axes in grid.ravel():
        if not axes.has_data():
            axes.set_visible(False)
    grid[0, 0].plot([], [], linestyle="none", marker="x", color="0.3", label="a run did not finish")
    legend_below(figure)
    return figure


def _curves(
    axes: Axes, group: Group, rows: pd.DataFrame, column: str, indices: Mapping[str, int]
) -> None:
    factor = 100 if column == ACCURACY else 1
    for arm in group.arms:
        own = rows[rows["arm"] == arm.name]
        by_rate = own.groupby("rate")
        whole = by_rate["score"].max() < np.inf
        values = factor * by_rate[column].agg(["mean", "min", "max"])[whole]
        lr = values.index.to_numpy(dtype=float)
        if arm.name == CONTROL:
            if not values.empty:
                ends = values["min"], values["max"]
                axes.fill_between(lr, *ends, color="0.6", alpha=0.45, label=f"{CONTROL} (range)")
            continue
        index = indices[arm.name]
        named = (("mean", "mean"), ("low", "min"), ("high", "max"))
        band(axes, lr, {name: values[own].to_numpy() for name, own in named}, index, arm.name)
        lost = whole.index[~whole].to_numpy(dtype=float)
        axes.plot(
            lost,
            np.full(len(lost), 0.97 - 0.05 * index),
            linestyle="none",
            marker="x",
            color=COLOURS[index % len(COLOURS)],
            transform=axes.get_xaxis_transform(),
        )
    octave_axis(axes, "")
    light_grid(axes)


def _heat_map(axes: Axes, group: Group, rows: pd.DataFrame) -> None:
    factor = 100 if group.metric == ACCURACY else 1
    names = [arm.name for arm in group.arms]
    means = rows.pivot_table(
        index="arm", columns="optimizer.lr", values=group.metric, aggfunc="mean", dropna=False
    ).reindex(names)
    lost = rows.assign(lost=~np.isfinite(rows["score"])).pivot_table(
        index="arm", columns="optimizer.lr", values="lost", aggfunc="any"
    )
    lost = lost.reindex(index=names, columns=means.columns)
    shown = factor * means.to_numpy(dtype=float)
    image = axes.imshow(shown, aspect="auto", cmap="cividis")
    low, high = image.get_clim()
    for (row, column), value in np.ndenumerate(shown):
        if lost.iat[row, column] is True or lost.iat[row, column] == 1:
            text = "×"
        else:
            text = "" if np.isnan(value) else f"{value:.3g}"
        dark = np.isnan(value) or high == low or (value - low) / (high - low) < 0.6
        colour = "white" if dark and not np.isnan(value) else "black"
        axes.text(column, row, text, ha="center", va="center", fontsize=6, color=colour)
    octaves = np.log2(means.columns.to_numpy(dtype=float))
    axes.set_xticks(range(len(octaves)), [f"{octave:.3g}" for octave in octaves])
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("log₂ of the learning rate")
    axes.set_title(f"{group.name}: {metric_name(group.metric)}")
