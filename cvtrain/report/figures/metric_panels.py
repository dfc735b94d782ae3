"""Test metric over the learning rate, in a grid of panels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from cvtrain.analysis.best_lr import ACCURACY, Tuned
from cvtrain.report.figures.style import (
    band,
    legend_below,
    light_grid,
    logarithmic,
    new_figure,
    octave_axis,
    paper_style,
    style_of,
)


@dataclass(frozen=True, eq=False)
class MetricCurve:
    """One line of one panel.

    Attributes:
        row, column: place of the panel, by name.
        title: of the panel.
        name: of the line.
        metric: label of the vertical axis.
        runs: the runs that the line is drawn from.
    """

    row: str
    column: str
    title: str
    name: str
    metric: str
    runs: Tuned


@paper_style
def metric_panels(
    curves: Sequence[MetricCurve], *, mark_best: bool = False, errors: bool = False
) -> Figure:
    """Draw curves over the learning rate: means over the judged seeds, with their range as a band,
    where all of them finished.

    Args:
        curves: lines; panels are in the order of their first lines.
        mark_best: draw a vertical line at the learning rate that was chosen.
        errors: show of an accuracy what it lacks of 100 %, on a logarithmic axis.
    """
    rows, columns, names = (
        list(dict.fromkeys(getattr(curve, key) for curve in curves))
        for key in ("row", "column", "name")
    )
    figure = new_figure(len(columns), 0.85 * len(rows))
    grid = figure.subplots(len(rows), len(columns), squeeze=False, sharex="col", sharey="row")
    for curve in curves:
        axes = grid[rows.index(curve.row), columns.index(curve.column)]
        index = names.index(curve.name)
        by_rate = curve.runs.runs.query("judged").groupby("optimizer.lr")
        complete = by_rate["score"].max() < math.inf
        values = by_rate["metric"].agg(["mean", "min", "max"])[complete]
        percent_lost = errors and curve.metric == ACCURACY
        values = 100 - values if percent_lost else values
        lines = {name: values[key].to_numpy(float) for name, key in LINES.items()}
        band(axes, values.index.to_numpy(float), lines, index, curve.name)
        if mark_best and curve.runs.best_lr is not None:
            style = {key: style_of(index)[key] for key in ("color", "linestyle")}
            axes.axvline(curve.runs.best_lr, linewidth=0.8, alpha=0.7, **style)
        if percent_lost:
            logarithmic(axes)
        axes.set_title(curve.title, fontsize=7)
        octave_axis(axes, "learning rate" if curve.row == rows[-1] else "")
        if curve.column == columns[0]:
            axes.set_ylabel("test error, %" if percent_lost else curve.metric)
    for axes in grid.ravel():
        light_grid(axes)
    legend_below(figure, columns=4)
    return figure


LINES = {"mean": "mean", "low": "min", "high": "max"}
"""Parts of a band, and what of the seeds' values they are."""
