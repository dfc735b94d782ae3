"""How training went: losses over steps, and gradients and weights as points of the plane."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes

from cvtrain.analysis.arms import NULL, REFERENCE
from cvtrain.analysis.load import Sweep
from cvtrain.analysis.scores import SCORE, Comparison, Group
from cvtrain.report.figures.learning_rates import places
from cvtrain.report.figures.style import (
    COLOURS,
    MARKERS,
    band,
    legend_below,
    light_grid,
    logarithmic,
    new_figure,
    paper_style,
)

TRACED = re.compile(
    r"(?P<kind>grad|weight)/(?P<parameter>.+)/(?P<part>real|imag)\[(?P<at>[\d,]+)\]"
)
SECTORS = 24
"""Of a phase rose."""


@paper_style
def convergence(sweep: Sweep, comparison: Comparison) -> Figure | None:
    """Per group a row: validation loss over steps, all arms at the reference's best learning rate
    (left) and each at its own (right). Lines are medians over seeds, bands their quartiles.

    Returns:
        None where no run of a best learning rate was validated.
    """
    groups = [g for g in comparison.groups if any(arm.best_lr for arm in g.arms)]
    if not groups:
        return None
    figure = new_figure(2, len(groups))
    known = places(comparison)
    for line, group in zip(figure.subplots(len(groups), 2, squeeze=False), groups, strict=True):
        reference = group.arm(REFERENCE)
        common = reference.best_lr if reference is not None else None
        for axes, lr in zip(line, (common, None), strict=True):
            for arm in group.arms:
                rate = arm.best_lr if lr is None else lr
                if arm.name != NULL and rate is not None:
                    rows = cell(comparison, group, arm.name, rate)
                    _loss_band(axes, sweep, rows, known[arm.name], arm.name)
            where = "each at its own lr" if lr is None else "all at the reference's lr"
            axes.set_title(f"{group.name}: {where}")
            axes.set_xlabel("step")
            logarithmic(axes)
            light_grid(axes)
        line[0].set_ylabel("validation loss")
        line[1].sharey(line[0])
    legend_below(figure)
    return figure if any(axes.has_data() for axes in figure.axes) else None


@paper_style
def paths(sweep: Sweep, comparison: Comparison) -> Figure | None:
    """Per group a row: one entry of a weight, and of its `w.grad`, as they move in the plane; every
    arm at the reference's best learning rate, one seed.

    Returns:
        None where no complex entry was traced.
    """
    drawn = [
        (group, traces)
        for group in comparison.groups
        if (traces := _traces(sweep, comparison, group, 1))
    ]
    if not drawn:
        return None
    figure = new_figure(2, 1.15 * len(drawn))
    known = places(comparison)
    for line, (group, traces) in zip(
        figure.subplots(len(drawn), 2, squeeze=False), drawn, strict=True
    ):
        name = _first_entry(next(iter(traces.values()))[0])
        for axes, kind, symbol in zip(line, ("weight", "grad"), ("w", "w.grad"), strict=True):
            for arm, tables in traces.items():
                points = _entry(tables[0], kind, name)
                _path(axes, points, known[arm], arm)
            axes.set_title(f"{group.name}: {symbol}, {name[0]}[{name[1]}]")
            axes.set_xlabel("Re")
            axes.set_ylabel("Im")
            axes.set_aspect("equal", adjustable="datalim")
            light_grid(axes)
    legend_below(figure)
    return figure


@paper_style
def phase_roses(sweep: Sweep, comparison: Comparison) -> Figure | None:
    """Per group a row, per arm a rose: how often the traced entries of `w.grad` point where, at the
    reference's best learning rate, all seeds and steps; 24 sectors, radius ∝ share.

    Returns:
        None where no complex entry was traced.
    """
    drawn = [
        (group, traces)
        for group in comparison.groups
        if (traces := _traces(sweep, comparison, group, None))
    ]
    if not drawn:
        return None
    columns = max(len(traces) for _, traces in drawn)
    figure = new_figure(max(columns, 2), 0.9 * len(drawn), extra=0.1)
    grid = figure.subplots(len(drawn), columns, squeeze=False, subplot_kw={"projection": "polar"})
    known = places(comparison)
    for line, (group, traces) in zip(grid, drawn, strict=True):
        for axes in line[len(traces) :]:
            axes.set_visible(False)
        for axes, (arm, tables) in zip(line, traces.items(), strict=False):
            phases = np.concatenate([_phases(table) for table in tables])
            _rose(axes, phases, known[arm])
            axes.set_title(f"{group.name}\n{arm}")
    return figure


def cell(comparison: Comparison, group: Group, arm: str, lr: float) -> pd.DataFrame:
    """The runs of an arm at one learning rate."""
    runs = comparison.runs
    chosen = (runs["group"] == group.name) & (runs["arm"] == arm) & (runs["optimizer.lr"] == lr)
    return runs[chosen]


def _loss_band(axes: Axes, sweep: Sweep, rows: pd.DataFrame, place: int, label: str) -> None:
    tables = sweep.signals(lambda tag: tag == SCORE, rows).values()
    losses = [table.dropna().set_index("step")[SCORE] for table in tables if SCORE in table]
    if not losses:
        return
    joined = pd.concat(losses, axis=1)
    # A run that diverged has no later rows; it counts as above all others.
    quartiles = joined.fillna(np.inf).quantile([0.25, 0.5, 0.75], axis=1, interpolation="nearest")
    steps = joined.index.to_numpy(dtype=float)
    values = {
        name: np.where(np.isfinite(row := quartiles.loc[share].to_numpy(dtype=float)), row, np.nan)
        for name, share in (("low", 0.25), ("mean", 0.5), ("high", 0.75))
    }
    band(axes, steps, values, place, label)
    axes.lines[-1].set_markevery(max(1, len(steps) // 8))


def _traces(
    sweep: Sweep, comparison: Comparison, group: Group, seeds: int | None
) -> dict[str, list[pd.DataFrame]]:
    """By arm the traced entries of its runs at the reference's best learning rate."""
    reference = group.arm(REFERENCE)
    if reference is None or reference.best_lr is None:
        return {}
    found = {}
    for arm in group.arms:
        if arm.name != NULL:
            rows = cell(comparison, group, arm.name, reference.best_lr).sort_values("seed")
            tables = sweep.signals(lambda tag: TRACED.fullmatch(tag) is not None, rows[:seeds])
            usable = [t.dropna() for t in tables.values() if _first_entry(t)[0]]
            if usable:
                found[arm.name] = usable
    return found


def _first_entry(table: pd.DataFrame) -> tuple[str, str]:
    """Parameter and place of the first entry that was traced."""
    found = (TRACED.fullmatch(str(tag)) for tag in table.columns)
    return next(((m["parameter"], m["at"]) for m in found if m and m["part"] == "imag"), ("", ""))


def _entry(table: pd.DataFrame, kind: str, name: tuple[str, str]) -> npt.NDArray[np.complex128]:
    tags = [f"{kind}/{name[0]}/{part}[{name[1]}]" for part in ("real", "imag")]
    if not set(tags) <= set(table.columns):
        return np.empty(0, dtype=np.complex128)
    real, imag = (table[tag].to_numpy(dtype=np.float64) for tag in tags)
    return real + 1j * imag


def _phases(table: pd.DataFrame) -> npt.NDArray[np.float64]:
    tags: Sequence[str] = [str(tag) for tag in table.columns]
    entries = [
        (m["parameter"], m["at"])
        for tag in tags
        if (m := TRACED.fullmatch(tag)) and m["kind"] == "grad" and m["part"] == "imag"
    ]
    values = np.concatenate([_entry(table, "grad", name) for name in entries])
    phases: npt.NDArray[np.float64] = np.angle(values[values != 0])
    return phases


def _path(axes: Axes, points: npt.NDArray[np.complex128], place: int, label: str) -> None:
    colour = COLOURS[place % len(COLOURS)]
    axes.plot(points.real, points.imag, color=colour, linewidth=0.8, label=label)
    if len(points):
        marker = MARKERS[place % len(MARKERS)]
        axes.plot(points.real[-1:], points.imag[-1:], marker=marker, color=colour)
        axes.plot(points.real[:1], points.imag[:1], marker="x", color="0.2")


def _rose(axes: PolarAxes, phases: npt.NDArray[np.float64], place: int) -> None:
    counts, edges = np.histogram(phases, bins=SECTORS, range=(-np.pi, np.pi))
    share = counts / max(counts.sum(), 1)
    axes.bar(
        (edges[:-1] + edges[1:]) / 2,
        share,
        width=np.diff(edges),
        color=COLOURS[place % len(COLOURS)],
        alpha=0.75,
        linewidth=0,
    )
    axes.set_yticklabels([])
    axes.set_xticks([0, np.pi / 2, np.pi, 3 * np.pi / 2], ["1", "i", "−1", "−i"])
