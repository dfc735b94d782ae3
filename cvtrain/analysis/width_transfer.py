"""Measure how the curve of the loss over the learning rate moves with the width of a network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from cvtrain.analysis.arms import CONTROL
from cvtrain.analysis.compare import compare
from cvtrain.analysis.comparison import Arm, Group
from cvtrain.analysis.grid import Grid
from cvtrain.analysis.load import Sweep
from cvtrain.analysis.registration import register
from cvtrain.analysis.replicates import RunKey, replicate_means
from cvtrain.analysis.statistics import Interval, RealArray, interval

STANDARD = "standard"


@dataclass(frozen=True)
class Network:
    """One arm at one width.

    Attributes:
        parametrisation, arm: names.
        width: width of the hidden layers.
        grid: runs of the network.
        moved: octaves from the curve of the narrowest network with the same parametrisation and arm
            to the curve of this one, over seeds or splits (`cvtrain.analysis.registration`).
        shifts: values of `moved` for every seed or split.
        shift: octaves from the curve of the reference at this width to the curve of this arm; None
            for the reference.
        lowest: validation loss at the best learning rate, over seeds.
        kept: log of the validation loss at the best rate of the narrowest network, minus that at
            this network's own best rate, over seeds.
        kept_failures: number of runs that fail at the best rate of the narrowest network.
    """

    parametrisation: str
    arm: str
    width: int
    grid: Grid
    moved: Interval
    shifts: tuple[float, ...]
    shift: Interval | None
    lowest: Interval
    kept: Interval
    kept_failures: int


@dataclass(frozen=True)
class Transfer:
    """How the curve of one arm moves with the width.

    Attributes:
        parametrisation, arm: names.
        slope: octaves per doubling of the width, fitted by least squares for each seed; over seeds.
        difference: slope minus that of the reference in the same parametrisation, paired by seed;
            None for the reference.
    """

    parametrisation: str
    arm: str
    slope: Interval
    difference: Interval | None


def networks(sweep: Sweep) -> list[Network]:
    """Every arm at every width, by parametrisation, arm and width; the reference first."""
    compared = compare(sweep)
    if not compared.groups:
        return []
    first_runs = compared.runs.drop_duplicates("group").set_index("group")
    cells = []
    for group in compared.groups:
        run = first_runs.loc[group.name]
        width = int(np.atleast_1d(run["model.hidden"])[0])
        cells += [
            (str(run["model.parametrisation"]), arm, width, group)
            for arm in group.arms
            if arm.name != CONTROL
        ]
    order = list(dict.fromkeys(arm.name for _, arm, _, _ in cells))
    cells.sort(key=lambda cell: (cell[0] != STANDARD, cell[0], order.index(cell[1].name), cell[2]))
    rows: list[Network] = []
    for _, alike in groupby(cells, key=lambda cell: (cell[0], cell[1].name)):
        narrowest: Grid | None = None
        for parametrisation, arm, width, group in alike:
            narrowest = narrowest or arm.grid
            rows.append(_network(parametrisation, arm, width, group, narrowest))
    return rows


def _network(parametrisation: str, arm: Arm, width: int, group: Group, narrowest: Grid) -> Network:
    grid, base = arm.grid, group.base
    shift = None
    if base is not None and base is not arm:
        shift = register(base.grid, grid, group.margin_loss, group.untrained).shift
    moved = register(narrowest, grid, group.margin_loss, group.untrained)
    losses = np.where(grid.fails, np.inf, grid.loss)
    unknown = np.full(len(grid.keys), np.nan)
    own = unknown if grid.best is None else losses[:, grid.best]
    column = np.flatnonzero(grid.rates == narrowest.best_rate)
    kept = losses[:, column[0]] if len(column) else unknown
    with np.errstate(divide="ignore", invalid="ignore"):
        costs = np.log(kept) - np.log(own)
    return Network(
        parametrisation,
        arm.name,
        width,
        grid,
        moved.shift,
        moved.shifts,
        shift,
        interval(replicate_means(own, grid.replicates)),
        interval(replicate_means(costs, grid.replicates)),
        int(np.isinf(kept).sum()),
    )


def slopes(rows: Sequence[Network]) -> tuple[tuple[RunKey, ...], RealArray]:
    """Octaves per doubling of the width for each seed or split, from the widths that have shifts.

    Args:
        rows: networks of one parametrisation and arm, the narrowest first.

    Returns:
        splits and seeds of the runs, and the values `[seeds]`; both are empty if fewer than two
        widths have shifts, or if these are of other seeds.
    """
    known = [row for row in rows if row.shifts]
    keys = {tuple(key for key in row.grid.keys if key in rows[0].grid.keys) for row in known}
    # Shifts belong together by their position, so all must be of the same runs.
    if len({row.width for row in known}) < 2 or len(keys) > 1:
        return (), np.array([])
    doublings = [math.log2(row.width) for row in known]
    of_seeds = zip(*(row.shifts for row in known), strict=True)
    values = [float(np.polyfit(doublings, shifts, 1)[0]) for shifts in of_seeds]
    return keys.pop(), np.array(values)


def transfers(rows: Sequence[Network]) -> Iterator[Transfer]:
    """The slope of every parametrisation and arm; the reference's first."""
    for parametrisation in dict.fromkeys(row.parametrisation for row in rows):
        reference: tuple[tuple[RunKey, ...], RealArray] | None = None
        for arm in dict.fromkeys(row.arm for row in rows):
            keys, own = slopes(
                [r for r in rows if (r.parametrisation, r.arm) == (parametrisation, arm)]
            )
            difference = None
            if reference is None:
                reference = keys, own
            elif keys == reference[0]:
                difference = interval(own - reference[1])
            yield Transfer(parametrisation, arm, interval(own), difference)
