"""How every figure looks: the widths of one and of two columns of a paper, colours, marks."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from functools import partial, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogFormatterSciNotation

from cvtrain.process.plain_text import printable
from cvtrain.runs.files import write_atomically

# Okabe and Ito 2008, Color Universal Design; each colour comes with its own marker and dash.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))

ONE_COLUMN, TWO_COLUMNS = 3.5, 7.16
"""Column widths of IEEE journals, in inches."""
PANEL_HEIGHT = 2.2
MOST_COLUMNS = 3
DPI = 200

PAPER: Any = {
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.0,
    "legend.fontsize": 7.5,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.0,
    "axes.linewidth": 0.6,
    "svg.hashsalt": "cvtrain",
    "text.parse_math": False,
    "text.usetex": False,
}
"""Settings of matplotlib, sizes in points. With a fixed salt equal figures are equal files; texts
are not parsed as formulas, since they may come from a configuration."""

Drawn = TypeVar("Drawn")
Arguments = ParamSpec("Arguments")


def paper_style(draw: Callable[Arguments, Drawn]) -> Callable[Arguments, Drawn]:
    """Decorate a function that draws, so that it uses `PAPER` whatever matplotlib is set to."""

    @wraps(draw)
    def styled(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Drawn:
        with mpl.rc_context(PAPER):
            return draw(*args, **kwargs)

    return styled


def new_figure(columns: int, rows: float, extra: float = 0.45) -> Figure:
    """An empty figure without a display, as wide as one column of a paper or as two.

    Args:
        columns: panels beside each other.
        rows: panels below each other.
        extra: inches for a legend below.
    """
    width = ONE_COLUMN if columns == 1 else TWO_COLUMNS
    figure = Figure(figsize=(width, rows * PANEL_HEIGHT + extra), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> list[Path]:
    """Write `path`.svg and `path`.png atomically; equal figures give equal bytes."""
    _make_printable(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    svg, png = path.with_suffix(".svg"), path.with_suffix(".png")
    with mpl.rc_context(PAPER), warnings.catch_warnings():
        # The tables of the report have the letters that matplotlib's fonts lack.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        write_atomically(
            svg, lambda file: figure.savefig(file, format="svg", metadata={"Date": None})
        )
        figure.set_layout_engine(None)  # keep the layout: computing it takes longest
        write_atomically(png, lambda file: figure.savefig(file, format="png", dpi=DPI))
    return [svg, png]


def _make_printable(figure: Figure) -> None:
    for text in figure.findobj(Text):
        text.set_text(printable(text.get_text(), lines=True))
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        # Tick labels set by hand are drawn by such a formatter, at every drawing.
        formatter = axis.get_major_formatter()
        if isinstance(formatter, FuncFormatter):
            axis.set_major_formatter(FuncFormatter(partial(_printable_label, formatter.func)))


def _printable_label(label: Callable[[float, int | None], str], x: float, at: int | None) -> str:
    return printable(label(x, at), lines=True)


def legend_below(figure: Figure, columns: int = 3) -> None:
    """One legend for all panels, each label once."""
    handles: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        figure.legend(
            list(handles.values()), list(handles), loc="outside lower center", ncols=columns
        )


def light_grid(axes: Axes) -> None:
    """Draw grid lines that do not compete with the data."""
    axes.grid(visible=True, alpha=0.3, linewidth=0.4)


SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class PowerFormatter(LogFormatterSciNotation):
    """Labels of a logarithmic axis as plain text, 2⁻³ or 3×10⁻²: setting formulas takes long."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The label of a tick at x; empty for a tick without one."""
        formula = super().__call__(x, pos).removeprefix(r"$\mathdefault{").removesuffix("}$")
        plain = formula.replace(r"\times", "×")
        return re.sub(r"\^\{(.*?)\}", lambda power: power[1].translate(SUPERSCRIPTS), plain)


def octave_axis(axes: Axes, label: str) -> None:
    """Make the x axis logarithmic with powers of two, if it shows any positive value."""
    if np.isfinite(axes.dataLim.minposx):
        axes.set_xscale("log", base=2)
        _label_powers(axes.xaxis, base=2)
    axes.set_xlabel(label)


def logarithmic(axes: Axes) -> None:
    """Make the y axis logarithmic, if it shows any positive value."""
    if np.isfinite(axes.dataLim.minposy):
        axes.set_yscale("log")
        _label_powers(axes.yaxis, base=10)


def _label_powers(axis: Axis, base: float) -> None:
    """Label powers, and on a short axis numbers between them, as matplotlib does by default."""
    axis.set_major_formatter(PowerFormatter(base))
    axis.set_minor_formatter(PowerFormatter(base, labelOnlyBase=False))


def style_of(index: int) -> dict[str, Any]:
    """Colour, dash and marker of the line number `index`."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[index % len(DASHES)],
        "marker": MARKERS[index % len(MARKERS)],
    }


def band(
    axes: Axes, x: np.ndarray, values: Mapping[str, np.ndarray], index: int, label: str
) -> None:
    """Draw the line `mean` with a band from `low` to `high`, as the line number `index`."""
    style = style_of(index)
    axes.plot(x, values["mean"], label=label, **style)
    colour = COLOURS[index % len(COLOURS)]
    axes.fill_between(x, values["low"], values["high"], color=colour, alpha=0.13, linewidth=0)
