"""The course of a search."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cvtrain.report.figures.style import (
    COLOURS,
    MARKERS,
    legend_below,
    light_grid,
    logarithmic,
    new_figure,
    octave_axis,
    paper_style,
)


@paper_style
def search_figure(runs: pd.DataFrame) -> Figure:
    """Validation loss by number of the trial, with the best so far, and over the learning rate.

    Args:
        runs: with `arm`, and `score`: the validation loss, infinite where a trial did not finish;
            those that were pruned are small crosses at their last validation loss.
    """
    figure = new_figure(2, 1.2)
    by_trial, by_rate = figure.subplots(1, 2, sharey=True)
    finished = runs[np.isfinite(runs["score"])]
    for place, (arm, rows) in enumerate(finished.groupby("arm", sort=True)):
        style = {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
        for axes, key in ((by_trial, "run"), (by_rate, "optimizer.lr")):
            axes.scatter(rows[key], rows["score"], s=10, label=str(arm), **style)
    pruned = runs[(runs["status"] == "pruned") & np.isfinite(runs["val/loss"])]
    for axes, key in ((by_trial, "run"), (by_rate, "optimizer.lr")):
        if len(pruned):
            axes.scatter(
                pruned[key], pruned["val/loss"], s=8, marker="x", color="0.6", label="pruned"
            )
        light_grid(axes)
    ordered = finished.sort_values("run")
    by_trial.step(
        ordered["run"], ordered["score"].cummin(), where="post", color="0.2", label="best so far"
    )
    logarithmic(by_trial)
    by_trial.set_xlabel("trial")
    by_trial.set_ylabel("validation loss")
    octave_axis(by_rate, "learning rate")
    legend_below(figure, columns=3)
    return figure
