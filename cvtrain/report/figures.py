"""Figures for paper and screen: vector and pixels, readable in grey and by the colour-blind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cvtrain.report.arms import NULL
from cvtrain.report.compare import Comparison, Group

# Okabe and Ito 2008, Color Universal Design; each has a marker and a dash of its own besides.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
PANEL = (4.2, 2.7)
"""Inches."""
DPI = 150


def learning_rate_curves(comparison: Comparison) -> Figure:
    """Per group a column: validation loss and test metric against the learning rate, per arm.

    Lines are means over seeds, bands their range; the null arm is a grey band. A cross stands at
    the top, at learning rates where a run of the arm did not finish: those have no mean.
    """
    groups = comparison.groups
    drawn = dict.fromkeys(arm.name for group in groups for arm in group.arms if arm.name != NULL)
    places = {name: place for place, name in enumerate(drawn)}  # a colour means one arm everywhere
    size = (PANEL[0] * len(groups), 2 * PANEL[1] + 0.5)
    figure = new_figure(*size)
    axes = figure.subplots(2, len(groups), sharex="col", squeeze=False)
    for column, group in enumerate(groups):
        rows = comparison.runs[comparison.runs["group"] == group.name]
        upper, lower = axes[:, column]
        _curves(upper, group, rows, "score", places)
        _curves(lower, group, rows, group.metric, places)
        upper.set_title(group.name)
        if np.isfinite(upper.dataLim.y0):  # else nothing finished, and nothing is drawn
            upper.set_yscale("log")
        upper.set_ylabel("validation loss")
        lower.set_ylabel(group.metric.replace("/", " "))
        lower.set_xscale("log", base=2)
        lower.set_xlabel("learning rate")
    axes[0, 0].plot([], [], linestyle="none", marker="x", color="0.3", label="a run did not finish")
    shown: dict[str, Artist] = {}
    for upper in axes[0]:
        for handle, label in zip(*upper.get_legend_handles_labels(), strict=True):
            shown.setdefault(label, handle)
    columns = min(len(shown), 3)
    figure.legend(
        list(shown.values()), list(shown), loc="outside lower center", ncols=columns, fontsize=9
    )
    return figure


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches, which needs no display."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> list[Path]:
    """Write `path`.svg and `path`.png."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = [path.with_suffix(suffix) for suffix in (".svg", ".png")]
    for file in written:
        figure.savefig(file, dpi=DPI)
    return written


def _curves(
    axes: Axes, group: Group, rows: pd.DataFrame, column: str, places: Mapping[str, int]
) -> None:
    for arm in group.arms:
        own = rows[rows["arm"] == arm.name]
        by_rate = own.groupby("optimizer.lr")
        whole = by_rate["score"].max() < np.inf
        values = by_rate[column].agg(["mean", "min", "max"])[whole]
        lr = values.index.to_numpy(dtype=float)
        if arm.name == NULL:
            if not values.empty:
                band = values["min"], values["max"]
                axes.fill_between(lr, *band, color="0.6", alpha=0.45, label=f"{NULL} (range)")
            continue
        place = places[arm.name]
        colour = COLOURS[place % len(COLOURS)]
        axes.plot(
            lr,
            values["mean"],
            color=colour,
            linestyle=DASHES[place % len(DASHES)],
            marker=MARKERS[place % len(MARKERS)],
            markersize=5,
            linewidth=1.5,
            label=arm.name,
        )
        axes.fill_between(lr, values["min"], values["max"], color=colour, alpha=0.12, linewidth=0)
        lost = whole.index[~whole].to_numpy(dtype=float)
        height = 0.97 - 0.05 * place
        axes.plot(
            lost,
            np.full(len(lost), height),
            linestyle="none",
            marker="x",
            color=colour,
            transform=axes.get_xaxis_transform(),
        )
    axes.grid(visible=True, alpha=0.3, linewidth=0.5)
