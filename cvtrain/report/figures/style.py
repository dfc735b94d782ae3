"""The style of all figures: colours, marks, sizes of letters. Lower values are always better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap

from cvtrain.analysis.metric import ACCURACY

# Okabe and Ito 2008, Color Universal Design. Each colour has its own marker and dash pattern.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
CONTROL_COLOUR = "0.6"
"""Colour of the jitter control, which is drawn wide and behind the arms."""
BETTER_BRIGHTER: Colormap = mpl.colormaps["cividis_r"]
"""Maps losses and errors to colours: lower values are brighter."""

LETTERS = 8.0
"""Size of the smallest letters in points: 8 in print, 11 pixels on a phone 375 pixels wide."""

PAPER: Any = {
    "font.size": LETTERS,
    "axes.titlesize": 9.0,
    "axes.labelsize": LETTERS,
    "legend.fontsize": LETTERS,
    "xtick.labelsize": LETTERS,
    "ytick.labelsize": LETTERS,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.0,
    "axes.titley": 1.0,  # the default; automatic placement takes a fifth of the drawing time
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.4,
    "svg.hashsalt": "cvtrain",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.usetex": False,
}
"""Settings of matplotlib, with sizes in points. The fixed salt makes equal figures equal files.
Text in an SVG stays text, so that it can be read, searched and selected. It is not parsed as
formulas, since it may come from a configuration."""

Drawn = TypeVar("Drawn")
Arguments = ParamSpec("Arguments")


def paper_style(draw: Callable[Arguments, Drawn]) -> Callable[Arguments, Drawn]:
    """Decorate a drawing function so that it uses `PAPER`, independent of matplotlib's settings."""

    @wraps(draw)
    def styled(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Drawn:
        with mpl.rc_context(PAPER):
            return draw(*args, **kwargs)

    return styled


def style_of(index: int | None) -> dict[str, Any]:
    """Colour, dash pattern and marker of line number `index`; None: of the jitter control."""
    if index is None:
        return {"color": CONTROL_COLOUR, "linewidth": 4, "alpha": 0.5, "zorder": 2}
    return {
        "zorder": 3 - index / 100,  # the first line above the others
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[index % len(DASHES)],
        "marker": MARKERS[index % len(MARKERS)],
    }


def band(
    axes: Axes, x: np.ndarray, values: Mapping[str, np.ndarray], index: int | None, label: str
) -> None:
    """Draw the line `mean` in the style of line number `index`, with a band from `low` to `high`;
    the line has a gap where `mean` is NaN."""
    style = style_of(index)
    axes.plot(x, values["mean"], label=label, **style)
    axes.fill_between(
        x, values["low"], values["high"], color=style["color"], alpha=0.13, linewidth=0
    )


def error_name(metric: str) -> str:
    """The axis label of a test metric. Lower is better: an accuracy is shown as its error.

    Args:
        metric: a tag (``test/accuracy``, ``test/nmse``) or its label in a table.
    """
    if metric == ACCURACY or metric.startswith("test accuracy"):
        return "test error, %"
    return metric.replace("/", " ")


def as_error(values: Any, metric: str) -> Any:
    """Values of a test metric in the form that `error_name` labels.

    Args:
        values: numbers or arrays; an accuracy is a share if `metric` is a tag, and in per cent if
            it is a label.
        metric: tag or label, as in `error_name`.
    """
    if metric == ACCURACY:
        return 100 * (1 - values)
    return 100 - values if metric.startswith("test accuracy") else values
