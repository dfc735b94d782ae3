"""Write figures as SVG with real text, and as PNG for TensorBoard."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter

from cvtrain.process.plain_text import printable
from cvtrain.report.figures.style import PAPER
from cvtrain.runs.files import write_atomically

DPI = 160


def save_figure(figure: Figure, path: Path) -> list[Path]:
    """Write `path`.svg and `path`.png atomically; equal figures give equal bytes."""
    _make_printable(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    svg, png = path.with_suffix(".svg"), path.with_suffix(".png")
    with mpl.rc_context(PAPER), warnings.catch_warnings():
        # The tables of the report contain characters that matplotlib's fonts lack.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        write_atomically(
            svg, lambda file: figure.savefig(file, format="svg", metadata={"Date": None})
        )
        write_atomically(png, lambda file: figure.savefig(file, format="png", dpi=DPI))
    return [svg, png]


def _make_printable(figure: Figure) -> None:
    for text in figure.findobj(Text):
        text.set_text(printable(text.get_text(), lines=True))
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        # Tick labels set by hand use such formatters at every drawing.
        formatter = axis.get_major_formatter()
        if isinstance(formatter, FuncFormatter):
            axis.set_major_formatter(FuncFormatter(partial(_printable_label, formatter.func)))
        elif isinstance(formatter, FixedFormatter):
            formatter.seq = [printable(label, lines=True) for label in formatter.seq]


def _printable_label(label: Callable[[float, int | None], str], x: float, at: int | None) -> str:
    return printable(label(x, at), lines=True)
