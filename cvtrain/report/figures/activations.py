"""Activations over the learning rate."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from cvtrain.analysis.best_lr import ACCURACY, Tuned
from cvtrain.report.figures.contests import metric_band
from cvtrain.report.figures.style import (
    legend_below,
    light_grid,
    logarithmic,
    new_figure,
    octave_axis,
    paper_style,
)


@paper_style
def activation_curves(found: Sequence[tuple[tuple[str, ...], Tuned]], metric: str) -> Figure:
    """A panel per initialisation (row) and normalisation (column), a line per activation.

    Lines are means over the held-out seeds, bands their range; of an accuracy what it lacks of
    100 %, on a logarithmic axis.

    Args:
        found: the levels of activation, initialisation and normalisation, with their runs.
        metric: the label of the vertical axis.
    """
    activations, rows, columns = (
        list(dict.fromkeys(levels[place] for levels, _ in found)) for place in range(3)
    )
    figure = new_figure(len(columns), 0.85 * len(rows))
    grid = figure.subplots(len(rows), len(columns), squeeze=False, sharex=True, sharey=True)
    errors = metric == ACCURACY
    for (activation, row, column), side in found:
        axes = grid[rows.index(row), columns.index(column)]
        runs = side.runs.assign(metric=100 - side.runs["metric"]) if errors else side.runs
        metric_band(axes, runs, activations.index(activation), activation)
        if errors:
            logarithmic(axes)
        axes.set_title(f"initialisation {row}, normalisation {column}", fontsize=7)
        octave_axis(axes, "learning rate" if row == rows[-1] else "")
        if column == columns[0]:
            axes.set_ylabel("test error, %" if errors else metric)
    for axes in grid.ravel():
        light_grid(axes)
    legend_below(figure, columns=4)
    return figure
