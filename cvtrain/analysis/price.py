"""The cost of not retuning the learning rate, in both directions, and of missing the best one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cvtrain.analysis.grid import Grid, paired
from cvtrain.analysis.optimum import Failures, failures
from cvtrain.analysis.replicates import paired_differences
from cvtrain.analysis.statistics import Interval, RealArray, interval

REGRET_OCTAVES = (-2, -1, 1, 2)
"""Distances from the best learning rate at which regret is measured: a quarter to four times the
rate."""
TOLERANCE = 1e-6
"""Octaves within which two learning rates are the same."""


@dataclass(frozen=True)
class Price:
    """Runs at one learning rate against runs at the best one, paired by split and seed.

    Attributes:
        octave: log₂ of the learning rate.
        difference: difference of the test metric, over seeds; a failed run counts as worse than any
            number, so the ends are infinite or NaN if more than a fifth fail.
        loss: logarithm of the ratio of test losses, treated in the same way.
        failures: paired failures at the two rates.
        steps, best_steps: median steps to the goal at this and at the best rate; infinite if most
            runs do not reach it.
    """

    octave: float
    difference: Interval
    loss: Interval
    failures: Failures
    steps: float
    best_steps: float


@dataclass(frozen=True)
class Prices:
    """The costs of not retuning for one arm.

    Attributes:
        kept: the arm is trained at the reference's best rate: for an arm that halves the gradient,
            steps of half the length. None without the runs.
        turned: the reference is trained at the arm's best rate: a textbook's rate used with
            PyTorch's gradient, steps of twice the length. None without the runs.
    """

    kept: Price | None
    turned: Price | None


def prices(reference: Grid, other: Grid, rising: bool) -> Prices:
    """The costs of not retuning in both directions.

    Args:
        reference, other: the arms; an arm that a law makes equal to the reference is passed as
            `moved`.
        rising: whether larger values of the test metric are better.
    """
    return Prices(kept=_kept(reference, other, rising), turned=_kept(other, reference, rising))


def regret(reference: Grid, rising: bool) -> tuple[Price, ...]:
    """The cost for the reference of a learning rate `REGRET_OCTAVES` away from its best one."""
    best = reference.best
    if best is None:
        return ()
    positions = ((reference, octaves + reference.octaves[best]) for octaves in REGRET_OCTAVES)
    prices_at = (price_at(reference, best, grid, octave, rising) for grid, octave in positions)
    return tuple(price for price in prices_at if price is not None)


def moved(grid: Grid, octaves: float) -> Grid:
    """The grid of an arm that a law makes equal to `grid` at a learning rate higher by
    `octaves`."""
    return replace(grid, rates=grid.rates * 2.0**octaves)


def price_at(tuned: Grid, best: int, other: Grid, octave: float, rising: bool) -> Price | None:
    """Compare runs of `other` at an octave with runs of `tuned` at column `best`; None without
    pairs."""
    left, right = paired(tuned, other)
    column = column_of(right.octaves, octave)
    if column is None or not left.keys:
        return None
    known = left.present[:, best] & right.present[:, column]
    if not known.any():
        return None
    members = left.replicates[known]
    fails = left.fails[known, best], right.fails[known, column]
    metrics = (
        right.ranked_metric(rising)[known, column],
        left.ranked_metric(rising)[known, best],
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = (
            np.where(fails[1], np.inf, np.log(right.test_loss[known, column])),
            np.where(fails[0], np.inf, np.log(left.test_loss[known, best])),
        )
    return Price(
        octave=float(octave),
        difference=interval(paired_differences(*metrics, members)),
        loss=interval(paired_differences(*logs, members)),
        failures=failures(*fails),
        steps=float(np.median(right.steps[known, column])),
        best_steps=float(np.median(left.steps[known, best])),
    )


def column_of(octaves: RealArray | Sequence[float], octave: float) -> int | None:
    """The column of a learning rate in a grid, or None if it was not tried."""
    places = np.flatnonzero(np.abs(np.asarray(octaves) - octave) < TOLERANCE)
    return int(places[0]) if len(places) else None


def _kept(tuned: Grid, other: Grid, rising: bool) -> Price | None:
    best = tuned.best
    return None if best is None else price_at(tuned, best, other, tuned.octaves[best], rising)
