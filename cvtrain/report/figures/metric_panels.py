"""Test metric over the learning rate, in a grid of panels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cvtrain.analysis.best_lr import Tuned
from cvtrain.report.figures.panels import Panels
from cvtrain.report.figures.style import as_error, band, error_name, paper_style, style_of
from cvtrain.report.figures.ticks import common_limits, logarithmic, octave_axis

CURVES = "Lines are means over held-out {unit}s, shaded from the lowest to the highest"
"""Caption of curves; `unit` is the name of a replicate."""
FAILED = "in the band: at this rate a run failed, so it has no mean"


@dataclass(frozen=True, eq=False)
class MetricCurve:
    """One line in one panel.

    Attributes:
        row, column: names of the panel's row and column.
        title: title of the panel.
        name: name of the line.
        metric: label of the vertical axis.
        runs: runs from which the line is drawn.
    """

    row: str
    column: str
    title: str
    name: str
    metric: str
    runs: Tuned


@paper_style
def metric_panels(curves: Sequence[MetricCurve], *, mark_best: bool = False) -> Panels:
    """Draw curves over the learning rate: means over the judged runs, with their range shaded.

    An accuracy is shown as its error. A band above marks learning rates at which a run failed.

    Args:
        curves: lines; panels are in the order of their first lines.
        mark_best: whether to draw a vertical line at the chosen learning rate.
    """
    rows, columns, names = (
        list(dict.fromkeys(getattr(curve, key) for curve in curves))
        for key in ("row", "column", "name")
    )
    figure = Panels(max(len(rows), 1), max(len(columns), 1))
    for curve in curves:
        axes = figure.grid[rows.index(curve.row), columns.index(curve.column)]
        index = names.index(curve.name)
        judged = curve.runs.runs.query("judged")
        by_rate = judged.assign(shown=as_error(judged["metric"], curve.metric)).groupby(
            "optimizer.lr"
        )
        values = by_rate["shown"].agg(mean="mean", low="min", high="max")
        values = values.where(by_rate["score"].max() < math.inf)
        lr = values.index.to_numpy(float)
        band(axes, lr, {key: values[key].to_numpy(float) for key in values}, index, curve.name)
        figure.mark_failed(axes, lr[values["mean"].isna()], index)
        if mark_best and curve.runs.best_lr is not None:
            style = {key: style_of(index)[key] for key in ("color", "linestyle")}
            axes.axvline(curve.runs.best_lr, linewidth=0.8, alpha=0.7, **style)
        axes.set_title(curve.title)
        axes.set_ylabel(error_name(curve.metric))
    for line in figure.grid:
        for axes in line:
            octave_axis(axes, "learning rate")
            if axes.get_ylabel().endswith("%"):
                logarithmic(axes)
        common_limits(line, "y")
    return figure.finish(FAILED)
