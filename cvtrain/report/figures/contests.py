"""Two sides of a contest over the learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cvtrain.report.figures.style import (
    band,
    legend_below,
    light_grid,
    new_figure,
    octave_axis,
    paper_style,
    style_of,
)
from cvtrain.report.paired_comparison import PairedComparison


@paper_style
def contest_curves(found: Sequence[PairedComparison]) -> Figure:
    """A row per task, a column per optimizer: the metric of held-out seeds over learning rates.

    Lines are means over seeds, bands their range, verticals the learning rates that were chosen.
    """
    tasks = list(dict.fromkeys(each.task for each in found))
    optimizers = list(dict.fromkeys(each.optimizer for each in found))
    figure = new_figure(len(optimizers), 0.85 * len(tasks), extra=0.3)
    grid = figure.subplots(len(tasks), len(optimizers), squeeze=False)
    for each in found:
        axes = grid[tasks.index(each.task), optimizers.index(each.optimizer)]
        for place in range(len(each.names)):
            _curve(axes, each, place)
        axes.set_title(f"{each.task}: {each.optimizer}", fontsize=7)
        octave_axis(axes, "learning rate" if each.task == tasks[-1] else "")
        axes.set_ylabel(each.metric)
        light_grid(axes)
    legend_below(figure)
    return figure


def _curve(axes: Axes, contest: PairedComparison, place: int) -> None:
    side = contest.sides[place]
    metric_band(axes, side.runs, place, contest.names[place])
    if side.best_lr is not None:
        style = style_of(place)
        axes.axvline(
            side.best_lr,
            color=str(style["color"]),
            linestyle=style["linestyle"],
            linewidth=0.8,
            alpha=0.7,
        )


def metric_band(axes: Axes, runs: pd.DataFrame, place: int, label: str) -> None:
    """The metric of the judged seeds over the learning rate, where all of them finished."""
    by_rate = runs[runs["judged"]].groupby("optimizer.lr")
    whole = by_rate["score"].max() < math.inf
    values = by_rate["metric"].agg(["mean", "min", "max"])[whole]
    ends = {"mean": "mean", "low": "min", "high": "max"}
    drawn = {name: values[column].to_numpy(dtype=float) for name, column in ends.items()}
    band(axes, values.index.to_numpy(dtype=float), drawn, place, label)
