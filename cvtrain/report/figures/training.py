"""The course of training: losses over steps, gradients and weights in the complex plane."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes

from cvtrain.analysis.arms import CONTROL
from cvtrain.analysis.best_lr import SCORE
from cvtrain.analysis.load import Sweep
from cvtrain.analysis.scores import Comparison, Group
from cvtrain.report.figures.learning_rates import arm_indices
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
"""Number of sectors of a phase rose."""


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
    indices = arm_indices(comparison)
    for line, group in zip(figure.subplots(len(groups), 2, squeeze=False), groups, strict=True):
        reference = group.base
        common = reference.best_lr if reference is not None else None
        for axes, lr in zip(line, (common, None), strict=True):
            for arm in group.arms:
                rate = arm.best_lr if lr is None else lr
                if arm.name != CONTROL and rate is not None:
                    rows = cell_runs(comparison, group, arm.name, rate)
                    _loss_band(axes, sweep, rows, indices[arm.name], arm.name)
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
    traced = [
        (group, traces)
        for group in comparison.groups
        if (traces := _traces(sweep, comparison, group, 1))
    ]
    if not traced:
        return None
    figure = new_figure(2, 1.15 * len(traced))
    indices = arm_indices(comparison)
    for line, (group, traces) in zip(
        figure.subplots(len(traced), 2, squeeze=False), traced, strict=True
    ):
        name = _first_entry(next(iter(traces.values()))[0])
        for axes, kind, symbol in zip(line, ("weight", "grad"), ("w", "w.grad"), strict=True):
            for arm, tables in traces.items():
                points = _entry(tables[0], kind, name)
                _path(axes, points, indices[arm], arm)
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
    traced = [
        (group, traces)
        for group in comparison.groups
        if (traces := _traces(sweep, comparison, group, None))
    ]
    if not traced:
        return None
    columns = max(len(traces) for _, traces in traced)
    figure = new_figure(max(columns, 2), 0.9 * len(traced), extra=0.1)
    grid = figure.subplots(len(traced), columns, squeeze=False, subplot_kw={"projection": "polar"})
    indices = arm_indices(comparison)
    for line, (group, traces) in zip(grid, traced, strict=True):
        for axes in line[len(traces) :]:
            axes.set_visible(False)
        for axes, (arm, tables) in zip(line, traces.items(), strict=False):
            phases = np.concatenate([_phases(table) for table in tables])
            _rose(axes, phases, indices[arm])
            axes.set_title(f"{group.name}\n{arm}")
    return figure


def cell_runs(comparison: Comparison, group: Group, arm: str, lr: float) -> pd.DataFrame:
    """The runs of an arm at one learning rate."""
    runs = comparison.runs
    chosen = (runs["group"] == group.name) & (runs["arm"] == arm) & (runs["optimizer.lr"] == lr)
    return runs[chosen]


def _loss_band(axes: Axes, sweep: Sweep, rows: pd.DataFrame, index: int, label: str) -> None:
    tables = sweep.signals(lambda tag: tag == SCORE, rows).values()
    losses = [table.dropna().set_index("step")[SCORE] for table in tables if SCORE in table]
    if not losses:
        return
    joined = pd.concat(losses, axis=1)
    # A diverged run has no later rows; it counts as infinite.
    quartiles = joined.fillna(np.inf).quantile([0.25, 0.5, 0.75], axis=1, interpolation="nearest")
    steps = joined.index.to_numpy(dtype=float)
    values = {
        name: np.where(np.isfinite(row := quartiles.loc[share].to_numpy(dtype=float)), row, np.nan)
        for name, share in (("low", 0.25), ("mean", 0.5), ("high", 0.75))
    }
    band(axes, steps, values, index, label)
    axes.lines[-1].set_markevery(max(1, len(steps) // 8))


def _traces(
    sweep: Sweep, comparison: Comparison, group: Group, seeds: int | None
) -> dict[str, list[pd.DataFrame]]:
    """By arm, tables of the traced entries of its runs at the reference's best learning rate."""
    reference = group.base
    if reference is None or reference.best_lr is None:
        return {}
    traces = {}
    for arm in group.arms:
        if arm.name != CONTROL:
            rows = cell_runs(comparison, group, arm.name, reference.best_lr).sort_values("seed")
            tables = sweep.signals(lambda tag: TRACED.fullmatch(tag) is not None, rows[:seeds])
            usable = [t.dropna() for t in tables.values() if _first_entry(t)[0]]
            if usable:
                traces[arm.name] = usable
    return traces


def _first_entry(table: pd.DataFrame) -> tuple[str, str]:
    """Parameter and position of the first complex entry that was traced; empty without one."""
    matches = (TRACED.fullmatch(str(tag)) for tag in table.columns)
    return next(((m["parameter"], m["at"]) for m in matches if m and m["part"] == "imag"), ("", ""))


def _entry(table: pd.DataFrame, kind: str, name: tuple[str, str]) -> npt.NDArray[np.complex128]:
    tags = [f"{kind}/{name[0]}/{part}[{name[1]}]" for part in ("real", "imag")]
    if not set(tags) <= set(table.columns):
        return np.empty(0, dtype=np.complex128)
    real, imag = (table[tag].to_numpy(dtype=np.float64) for tag in tags)
    return real + 1j * imag


def _phases(table: pd.DataFrame) -> npt.NDArray[np.float64]:
    matches = (TRACED.fullmatch(str(tag)) for tag in table.columns)
    parts = (m for m in matches if m and (m["kind"], m["part"]) == ("grad", "imag"))
    entries = [(m["parameter"], m["at"]) for m in parts]
    values = np.concatenate([_entry(table, "grad", name) for name in entries])
    phases: npt.NDArray[np.float64] = np.angle(values[values != 0])
    return phases


def _path(axes: Axes, points: npt.NDArray[np.complex128], index: int, label: str) -> None:
    colour = COLOURS[index % len(COLOURS)]
    axes.plot(points.real, points.imag, color=colour, linewidth=0.8, label=label)
    if len(points):
        marker = MARKERS[index % len(MARKERS)]
        axes.plot(points.real[-1:], points.imag[-1:], marker=marker, color=colour)
        axes.plot(points.real[:1], points.imag[:1], marker="x", color="0.2")


def _rose(axes: PolarAxes, phases: npt.NDArray[np.float64], index: int) -> None:
    counts, edges = np.histogram(phases, bins=SECTORS, range=(-np.pi, np.pi))
    share = counts / max(counts.sum(), 1)
    axes.bar(
        (edges[:-1] + edges[1:]) / 2,
        share,
        width=np.diff(edges),
        color=COLOURS[index % len(COLOURS)],
        alpha=0.75,
        linewidth=0,
    )
    axes.set_yticklabels([])
    axes.set_xticks([0, np.pi / 2, np.pi, 3 * np.pi / 2], ["1", "i", "−1", "−i"])
