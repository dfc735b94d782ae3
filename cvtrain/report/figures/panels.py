"""Figures as grids of panels of one size, with one legend below and a band for failed runs.

The layout does not depend on measured text: panels have a fixed size, so letters are as large in a
figure of one panel as in one of twelve. A page may show the panels in any number of columns.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from cvtrain.report.figures.style import MARKERS, style_of

FULL = 6.8
"""Width of all figures of several columns, in inches; a journal's page has 7.16."""
PANEL = FULL / 2, 2.15
"""Width and height of a panel with its labels, in inches; a journal's column is 3.5 wide."""
LEFT, RIGHT, ABOVE, BELOW = 0.62, 0.08, 0.4, 0.44
"""Margins of a panel around its axes, in inches, for labels, title and band."""
NAMES_LEFT = 1.45
"""Margin to the left of axes whose ticks are names, in inches."""
LETTERS_OF_NAME = 20
BAND = 0.17
"""Height of the band of failed runs, in inches."""
LINE, LEGEND_LETTERS = 0.16, 42
"""Height of a line of the legend in inches, and letters per line in a column as wide as `PANEL`."""


class Piece(NamedTuple):
    """A rectangle of a figure that can be shown by itself, in inches from the upper left corner."""

    left: float
    top: float
    width: float
    height: float


class Panels(Figure):
    """A figure of panels.

    Attributes:
        grid: the axes, `[rows, columns]`; `finish` removes those without data.
        pieces: panels and columns of the legend, row by row.
        columns: number of panels beside each other.
    """

    def __init__(self, rows: int, columns: int, *, names: bool = False) -> None:
        """Args:
        rows, columns: numbers of panels.
        names: whether to leave room for names as ticks of the y axes.
        """
        width = PANEL[0] if columns <= 2 else FULL / columns
        height = rows * PANEL[1]
        super().__init__(figsize=(width * columns, height))
        FigureCanvasAgg(self)
        self.columns = columns
        left = NAMES_LEFT if names else LEFT
        size = width - left - RIGHT, PANEL[1] - ABOVE - BELOW
        self.grid = np.empty((rows, columns), dtype=object)
        self._cells: dict[Axes, Piece] = {}
        for row, column in np.ndindex(rows, columns):
            bottom = height - (row + 1) * PANEL[1] + BELOW
            position = column * width + left, bottom, *size
            total = width * columns, height, width * columns, height
            drawn = self.add_axes(tuple(np.divide(position, total)))
            self.grid[row, column] = drawn
            self._cells[drawn] = Piece(column * width, row * PANEL[1], width, PANEL[1])
        self._banded: set[Axes] = set()
        self.pieces: tuple[Piece, ...] = ()

    def mark_failed(self, axes: Axes, x: Any, index: int | None, label: str = "failed") -> None:
        """Mark positions on the x axis in a band above the panel, outside the range of the y axis.

        Args:
            axes: axes of a panel.
            x: positions in the units of the x axis.
            index: index of the line, as in `style_of`; it also determines the height within the
                band.
            label: label of the band, e.g. ``failed`` or ``never``.
        """
        if not len(x):
            return
        height = BAND / (PANEL[1] - ABOVE - BELOW)
        if axes not in self._banded:
            self._banded.add(axes)
            shared: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
            axes.add_patch(Rectangle((0, 1), 1, height, color="0.9", zorder=0, **shared))
            axes.text(-0.01, 1 + height / 2, label, ha="right", va="center", **shared)
        level = (0 if index is None else index % len(MARKERS) + 1) / (len(MARKERS) + 1)
        style = style_of(index)
        axes.plot(
            x,
            np.full(len(x), 1 + height * (0.2 + 0.7 * level)),
            linestyle="none",
            marker=style.get("marker", "|"),
            markersize=3.5,
            color=style["color"],
            transform=axes.get_xaxis_transform(),
            clip_on=False,
            zorder=4,
        )

    def finish(self, band: str = "") -> Panels:
        """Remove empty panels and write the legend below, each label once.

        Args:
            band: explanation of the band above a panel, for the legend.

        Returns:
            the figure.
        """
        for axes in self.grid.ravel():
            if not axes.has_data():
                axes.remove()
                del self._cells[axes]
                continue
            if axes.get_xscale() == "linear":
                axes.locator_params(axis="x", nbins=5)
            if axes in self._banded and not np.isfinite(axes.dataLim.intervaly).all():
                axes.set_yticks([])  # all runs failed, so there is no value to read off
        handles: dict[str, Artist] = {}
        for axes in self._cells:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle)
        if self._banded:
            handles[band] = Patch(color="0.9")
            for axes in self._cells:
                axes.set_title(axes.get_title(), pad=BAND * 72 + 4)
        self.pieces = (*self._cells.values(), *self._legends(handles))
        return self

    def _legends(self, handles: dict[str, Artist]) -> list[Piece]:
        if not handles:
            return []
        width, height = (float(length) for length in self.get_size_inches())
        columns = min(self.columns, 2)
        letters = round(LEGEND_LETTERS * (width / columns) / PANEL[0])
        labels = [textwrap.fill(label, letters) for label in handles]
        share = -(-len(labels) // columns)
        ends = [min(share * column, len(labels)) for column in range(columns + 1)]
        parts = [(labels[i:j], list(handles.values())[i:j]) for i, j in pairwise(ends) if i < j]
        lines = max(sum(label.count("\n") + 1 for label in part) for part, _ in parts)
        below = lines * LINE + 0.12
        self._grow(below)
        for column, (part, drawn) in enumerate(parts):
            self.legend(
                drawn,
                part,
                loc="upper left",
                bbox_to_anchor=((column * width / columns + 0.1) / width, below / (height + below)),
                borderaxespad=0.0,
                borderpad=0.2,
                labelspacing=0.25,
                handlelength=2.4,
                frameon=False,
            )
        size = width / columns
        return [Piece(column * size, height, size, below) for column in range(len(parts))]

    def _grow(self, below: float) -> None:
        """Enlarge the figure below the panels, in inches; these keep their size and distance from
        the top."""
        width, height = (float(length) for length in self.get_size_inches())
        self.set_size_inches(width, height + below)
        for axes in self.axes:
            x, y, w, h = axes.get_position().bounds
            scale = height / (height + below)
            axes.set_position((x, (y * height + below) / (height + below), w, h * scale))


def rows_for(panels: int, columns: int) -> int:
    """Number of rows of a grid that holds this many panels, at least one."""
    return max(1, -(-panels // columns))


def name_label(name: str) -> str:
    """A name as a tick label, in two lines if it is long."""
    return "\n".join(textwrap.wrap(name, LETTERS_OF_NAME, max_lines=2, placeholder=" …")) or name


def name_ticks(axes: Axes, names: Sequence[str]) -> None:
    """Label the rows 0, 1, … of a panel with names, from the top."""
    axes.set_yticks(range(len(names)), [name_label(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
