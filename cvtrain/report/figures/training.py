"""Figures of the course of training: losses over steps, gradients and weights in the complex
plane."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from cvtrain.analysis.arms import CONTROL
from cvtrain.analysis.best_lr import SCORE
from cvtrain.analysis.comparison import Comparison, Group
from cvtrain.analysis.load import Sweep
from cvtrain.report.figures.learning_rates import arm_indices
from cvtrain.report.figures.panels import Panels, rows_for
from cvtrain.report.figures.style import band, paper_style, style_of
from cvtrain.report.figures.ticks import common_limits, logarithmic

TRACED = re.compile(
    r"(?P<kind>grad|weight)/(?P<parameter>.+)/(?P<part>real|imag)\[(?P<at>[\d,]+)\]"
)
SECTORS = 24
"""Number of sectors in which phases are counted."""


@dataclass(frozen=True)
class Traces:
    """Traced entries of the runs of a group at the reference's best learning rate.

    Attributes:
        group: name of the group.
        tables: by arm, one table per seed with a column for each part of a traced entry.
        entry: parameter and position of the first complex entry.
    """

    group: str
    tables: Mapping[str, list[pd.DataFrame]]
    entry: tuple[str, str]

    @property
    def weight(self) -> str:
        """The entry in Python notation, e.g. ``trunk.0.weight[0,0]``."""
        return f"{self.entry[0]}[{self.entry[1]}]"

    def path(self, arm: str, kind: str) -> npt.NDArray[np.complex128]:
        """The values of the entry over the logged steps, for the arm's first seed; `kind` is
        ``grad`` or ``weight``."""
        return _entry(self.tables[arm][0], kind, self.entry)

    def shares(self, arm: str) -> npt.NDArray[np.float64]:
        """Shares of the traced entries of `w.grad` in `SECTORS` sectors of the phase, starting at
        −π, over all seeds and steps."""
        return self._shares[arm]

    @cached_property
    def _shares(self) -> dict[str, npt.NDArray[np.float64]]:
        return {
            arm: _shares(np.concatenate([_phases(table) for table in tables]))
            for arm, tables in self.tables.items()
        }


def read_traces(sweep: Sweep, comparison: Comparison) -> list[Traces]:
    """The traces of all groups in which a complex entry was traced."""
    traced = ((group, _traces(sweep, comparison, group)) for group in comparison.groups)
    return [
        Traces(group.name, tables, _first_entry(next(iter(tables.values()))[0]))
        for group, tables in traced
        if tables
    ]


@paper_style
def convergence(sweep: Sweep, comparison: Comparison) -> Panels | None:
    """Validation loss over steps, with all arms at the reference's best learning rate (left) and
    each at its own (right): one row of panels per group. Lines are medians over seeds, shading
    their quartiles.

    Returns:
        None if no run at a best learning rate was validated.
    """
    groups = [g for g in comparison.groups if any(arm.best_lr for arm in g.arms)]
    figure = Panels(max(len(groups), 1), 2)
    indices = arm_indices(comparison)
    for line, group in zip(figure.grid, groups, strict=False):
        reference = group.base
        common = reference.best_lr if reference is not None else None
        for axes, lr in zip(line, (common, None), strict=True):
            for arm in group.arms:
                rate = arm.best_lr if lr is None else lr
                if arm.name != CONTROL and rate is not None:
                    rows = cell_runs(comparison, group, arm.name, rate)
                    _loss_band(axes, sweep, rows, indices[arm.name], arm.name)
            where = "each at its own rate" if lr is None else "all at the reference’s rate"
            axes.set_title(f"{group.name}: {where}")
            axes.set_xlabel("step")
            axes.set_ylabel("validation loss")
            logarithmic(axes)
        common_limits(line, "y")
    figure.finish()
    return figure if figure.pieces else None


@paper_style
def paths(traces: list[Traces], comparison: Comparison) -> Panels | None:
    """The path of one entry of a weight and of its `w.grad` in the complex plane: one row of panels
    per group; every arm at the reference's best learning rate, one seed.

    Returns:
        None if no complex entry was traced.
    """
    if not traces:
        return None
    figure = Panels(len(traces), 2)
    indices = arm_indices(comparison)
    for line, of_group in zip(figure.grid, traces, strict=True):
        for axes, kind, symbol in zip(line, ("weight", "grad"), ("w", "w.grad"), strict=True):
            for arm in of_group.tables:
                _path(axes, of_group.path(arm, kind), indices[arm], arm)
            axes.set_title(f"{of_group.group}: {symbol} of {of_group.weight}")
            axes.locator_params(nbins=4)
            axes.set_xlabel("real part")
            axes.set_ylabel("imaginary part")
            axes.set_aspect("equal", adjustable="datalim")
    return figure.finish()


@paper_style
def phases(traces: list[Traces], comparison: Comparison) -> Panels | None:
    """Distribution of the phases of the traced entries of `w.grad` in sectors of 15°, at the
    reference's best learning rate, over all seeds and steps: one panel per group.

    Returns:
        None if no complex entry was traced.
    """
    if not traces:
        return None
    columns = min(len(traces), 2)
    figure = Panels(rows_for(len(traces), columns), columns)
    indices = arm_indices(comparison)
    middles = (np.arange(SECTORS) + 0.5) * 360 / SECTORS - 180
    for axes, of_group in zip(figure.grid.ravel(), traces, strict=False):
        for arm in of_group.tables:
            shares = 100 * of_group.shares(arm)
            axes.plot(middles, shares, label=arm, markevery=4, **style_of(indices[arm]))
        uniform = 100 / SECTORS
        axes.axhline(uniform, color="0.3", linewidth=0.8, label="uniform distribution")
        axes.set_xticks([-180, -90, 0, 90, 180], ["−180°", "−90°", "0°", "90°", "180°"])
        axes.set_ylim(bottom=0)
        axes.set_xlabel("phase of entries of w.grad")
        axes.set_ylabel("share per 15°, %")
        axes.set_title(of_group.group)
    common_limits(figure.grid.ravel(), "y")
    return figure.finish()


def cell_runs(comparison: Comparison, group: Group, arm: str, lr: float) -> pd.DataFrame:
    """The runs of an arm at one learning rate."""
    runs = comparison.runs
    chosen = (runs["group"] == group.name) & (runs["arm"] == arm) & (runs["optimizer.lr"] == lr)
    return runs[chosen]


def _loss_band(axes: Axes, sweep: Sweep, rows: pd.DataFrame, index: int, label: str) -> None:
    tables = sweep.signals(lambda tag: tag == SCORE, rows).values()
    curves = [_complete(table) for table in tables if SCORE in table]
    if not curves:
        return
    steps = np.unique(np.concatenate([curve["step"].to_numpy() for curve in curves]))
    # A diverged run has no later rows and counts as infinite.
    losses = np.full((len(curves), len(steps)), np.inf)
    for row, curve in zip(losses, curves, strict=True):
        row[np.searchsorted(steps, curve["step"])] = curve[SCORE]
    # Quartiles are values of runs: between a number and infinity there is none.
    nearest = np.rint((len(losses) - 1) * np.array([0.25, 0.5, 0.75])).astype(int)
    quartiles = np.sort(losses, axis=0)[nearest]
    quartiles[~np.isfinite(quartiles)] = np.nan
    values = dict(zip(("low", "mean", "high"), quartiles, strict=True))
    band(axes, steps.astype(float), values, index, label)
    axes.lines[-1].set_markevery(max(1, len(steps) // 8))


def _traces(sweep: Sweep, comparison: Comparison, group: Group) -> dict[str, list[pd.DataFrame]]:
    """Tables of the traced entries of an arm's runs at the reference's best learning rate, by
    arm."""
    reference = group.base
    if reference is None or reference.best_lr is None:
        return {}
    traces = {}
    for arm in group.arms:
        if arm.name != CONTROL:
            rows = cell_runs(comparison, group, arm.name, reference.best_lr).sort_values("seed")
            tables = sweep.signals(lambda tag: TRACED.fullmatch(tag) is not None, rows)
            usable = [_complete(t) for t in tables.values() if _first_entry(t)[0]]
            if usable:
                traces[arm.name] = usable
    return traces


def _complete(table: pd.DataFrame) -> pd.DataFrame:
    """The rows without a missing value; `dropna` takes several times as long."""
    complete = ~np.isnan(table.to_numpy(dtype=np.float64)).any(axis=1)
    return table if complete.all() else table[complete]


def _first_entry(table: pd.DataFrame) -> tuple[str, str]:
    """Parameter and position of the first traced complex entry; empty strings without one."""
    return next(((parameter, at) for _, parameter, at in _traced(table)), ("", ""))


def _traced(table: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Kind, parameter and position of each traced complex entry."""
    return _traced_in(tuple(map(str, table.columns)))


@cache
def _traced_in(tags: tuple[str, ...]) -> list[tuple[str, str, str]]:
    matches = map(TRACED.fullmatch, tags)
    return [(m["kind"], m["parameter"], m["at"]) for m in matches if m and m["part"] == "imag"]


def _entry(table: pd.DataFrame, kind: str, name: tuple[str, str]) -> npt.NDArray[np.complex128]:
    tags = [f"{kind}/{name[0]}/{part}[{name[1]}]" for part in ("real", "imag")]
    if not set(tags) <= set(table.columns):
        return np.empty(0, dtype=np.complex128)
    real, imag = (table[tag].to_numpy(dtype=np.float64) for tag in tags)
    return real + 1j * imag


def _phases(table: pd.DataFrame) -> npt.NDArray[np.float64]:
    entries = [(parameter, at) for kind, parameter, at in _traced(table) if kind == "grad"]
    values = np.concatenate([_entry(table, "grad", name) for name in entries])
    phases: npt.NDArray[np.float64] = np.angle(values[values != 0])
    return phases


def _shares(phases: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    counts, _ = np.histogram(phases, bins=SECTORS, range=(-np.pi, np.pi))
    return np.asarray(counts / max(counts.sum(), 1), dtype=np.float64)


def _path(axes: Axes, points: npt.NDArray[np.complex128], index: int, label: str) -> None:
    style = style_of(index) | {"linewidth": 0.8}
    axes.plot(points.real, points.imag, label=label, markevery=[-1], **style)
    if len(points):
        axes.plot(points.real[:1], points.imag[:1], "x", color="0.2", label="start")
