"""The runs of one arm as arrays over seeds (and splits) and learning rates, with failed runs
marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from cvtrain.analysis.best_lr import NOT_LEARNED, BoolArray, at_edge, chosen_rate
from cvtrain.analysis.replicates import PAIRED_BY, IntArray, RunKey, replicates, run_keys
from cvtrain.analysis.statistics import RealArray

COLLAPSED = 0.5
"""A run has collapsed if its loss fell by less than this share of the fall of its arm's median
run."""
RESULTS = ("finished", "diverged")
"""Statuses of runs that have a result; a crashed or interrupted run has none."""


@dataclass(frozen=True, eq=False)
class Grid:
    """One arm at several learning rates; arrays are `[keys, rates]`.

    Attributes:
        keys: split and seed of each row.
        rates: learning rates as configured, ascending, `[rates]`.
        loss: final validation loss; NaN without a result, infinite if NaN or diverged.
        test_loss: final test loss, marked in the same way.
        metric: test metric; NaN without a result or if not a number.
        steps: steps to the goal; infinite if it was not reached, NaN without a result.
        fails: runs with a result that diverged, ended with a loss or metric that is not finite, or
            collapsed: their loss fell from the untrained loss by less than half of what the arm's
            median run gains at this or a smaller learning rate.
        choice: value by which rates are chosen, lower is better; None: the loss.
    """

    keys: tuple[RunKey, ...]
    rates: RealArray
    loss: RealArray
    test_loss: RealArray
    metric: RealArray
    steps: RealArray
    fails: BoolArray
    choice: RealArray | None = None

    @cached_property
    def octaves(self) -> RealArray:
        """log₂ of the learning rates, `[rates]`. A configured rate need not be a power of 2."""
        return np.asarray(np.log2(self.rates))

    @property
    def replicates(self) -> IntArray:
        """The replicate that each row belongs to, `[keys]`."""
        return replicates(self.keys)

    @property
    def present(self) -> BoolArray:
        """Mask of the runs that have a result, `[keys, rates]`."""
        return ~np.isnan(self.loss)

    def ranked_metric(self, rising: bool) -> RealArray:
        """The test metric with the worst value for failed runs, `[keys, rates]`.

        Args:
            rising: whether larger values of the metric are better: the worst value is then
                −infinity, else infinity.
        """
        return np.where(self.fails, -np.inf if rising else np.inf, self.metric)

    @cached_property
    def median_loss(self) -> RealArray:
        """Median validation loss over seeds, `[rates]`. Failed runs count as infinite, so a rate at
        which half of the runs or more failed is infinite; NaN without a result."""
        losses = np.where(self.fails, np.inf, self.loss)
        middles = np.full(len(self.rates), np.nan)
        for column in np.flatnonzero(self.present.any(axis=0)):
            # Not the mean of the two middle values: one of them may be infinite.
            ordered = np.sort(losses[self.present[:, column], column])
            middles[column] = ordered[len(ordered) // 2]
        return middles

    @cached_property
    def best(self) -> int | None:
        """Column of the rate that `chosen_rate` chooses on all seeds."""
        return chosen_rate(self.chosen_by, self.fails)

    @property
    def chosen_by(self) -> RealArray:
        """The value by which rates are chosen, lower is better, `[keys, rates]`."""
        return self.loss if self.choice is None else self.choice

    @property
    def best_rate(self) -> float | None:
        """The learning rate of column `best`."""
        return None if self.best is None else float(self.rates[self.best])

    @property
    def least_failing(self) -> int | None:
        """Column of the rate with the fewest failed runs, among rates at which all seeds have a
        result; the lowest loss decides between equal ones."""
        complete = np.flatnonzero(self.present.all(axis=0))
        if not len(complete):
            return None
        order = np.lexsort((self.median_loss[complete], self.fails.sum(axis=0)[complete]))
        return int(complete[order[0]])

    @property
    def edge(self) -> bool:
        """Whether the best rate is the smallest or largest of several."""
        return at_edge(self.best_rate, self.rates.tolist())

    def take(self, keys: Sequence[RunKey]) -> Grid:
        """The rows of these keys, in this order, as a grid."""
        rows = [self.keys.index(key) for key in keys]
        names = ("loss", "test_loss", "metric", "steps", "fails", "choice")
        arrays = {name: array[rows] for name in names if (array := getattr(self, name)) is not None}
        return replace(self, keys=tuple(keys), **arrays)


def paired(*grids: Grid) -> tuple[Grid, ...]:
    """The grids restricted to the splits and seeds that all of them have."""
    common = sorted(set.intersection(*(set(grid.keys) for grid in grids)))
    return tuple(grid.take(common) for grid in grids)


def grid_of(runs: pd.DataFrame, metric: str) -> Grid:
    """The grid of the runs of one arm.

    Args:
        runs: rows as returned by `cvtrain.analysis.best_lr.with_scores`. Of two runs with equal
            split, seed and learning rate, as in a folder of single runs, the later one counts.
        metric: tag of the test metric.
    """
    runs = runs.drop_duplicates([*PAIRED_BY, "optimizer.lr"], keep="last")
    keys = sorted(set(run_keys(runs)))
    rates = sorted(float(rate) for rate in runs["optimizer.lr"].unique())
    rows = [keys.index(key) for key in run_keys(runs)]
    columns = np.searchsorted(rates, runs["optimizer.lr"].to_numpy(dtype=np.float64))
    ended = runs["status"].isin(RESULTS).to_numpy()

    def table(column: str) -> RealArray:
        values = np.full((len(keys), len(rates)), np.nan)
        if column in runs:
            values[rows, columns] = np.where(ended, runs[column].to_numpy(dtype=np.float64), np.nan)
        return values

    present = np.zeros((len(keys), len(rates)), dtype=bool)
    present[rows, columns] = ended
    loss = np.where(present, table("score"), np.nan)
    measured, steps, test_loss = (
        table(metric),
        table("convergence/steps_to_target"),
        table("test/loss"),
    )
    untested = present & ~np.isfinite(measured)
    untrained = float(runs["untrained_loss"].median())  # NaN where none is known
    fails = present & (~np.isfinite(loss) | untested)
    fails |= collapsed(np.where(fails, np.inf, loss), untrained)
    return Grid(
        keys=tuple(keys),
        rates=np.array(rates),
        loss=loss,
        test_loss=np.where(present & ~np.isfinite(test_loss), np.inf, test_loss),
        metric=np.where(np.isfinite(measured), measured, np.nan),
        steps=np.where(present & np.isnan(steps), np.inf, steps),
        fails=fails,
        choice=np.where(present, table("choice"), np.nan) if "choice" in runs else None,
    )


def collapsed(losses: RealArray, untrained: float) -> BoolArray:
    """Mark the runs whose loss fell by less than `COLLAPSED` of the fall of the arm's median run.

    Args:
        losses: final validation losses, `[seeds, rates]`, rates ascending; infinite for failed
            runs, NaN without a result.
        untrained: loss before training.

    Returns:
        bool `[seeds, rates]`. A run that is slow because its learning rate is small has not
        collapsed, since all runs at that rate are as slow. If the median run has not learned, no
        run has collapsed.
    """
    if np.isnan(untrained):
        return np.zeros(losses.shape, dtype=bool)
    lowest = np.inf
    flags = np.zeros(losses.shape, dtype=bool)
    for rate in range(losses.shape[1]):
        column = losses[:, rate]
        known = np.sort(column[~np.isnan(column)])
        if len(known):
            lowest = min(lowest, known[len(known) // 2])
        gain = untrained - lowest
        if lowest <= NOT_LEARNED * untrained:
            flags[:, rate] = untrained - column < COLLAPSED * gain
    return flags
