"""What it costs to leave the learning rate where it was, in both directions, and to miss it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cvtrain.analysis.grid import Grid, paired
from cvtrain.analysis.optimum import Failures, failures
from cvtrain.analysis.replicates import paired_differences
from cvtrain.analysis.statistics import Interval, RealArray, interval

REGRET_OCTAVES = (-2, -1, 1, 2)
"""A quarter to four times the best learning rate."""
TOLERANCE = 1e-6
"""Of octaves that are the same learning rate."""


@dataclass(frozen=True)
class Price:
    """Runs at one learning rate against runs at the best one for them, paired by split and seed.

    Attributes:
        octave: log₂ of the learning rate.
        difference: of the test metric, over seeds; a failed run counts as worse than any number, so
            ends are infinite or NaN where more than a fifth fail.
        loss: logarithm of the ratio of test losses, likewise.
        failures: how often training fails at either.
        steps, best_steps: medians of the steps to the goal, and at the best rate; infinite where
            most of the runs never arrive.
    """

    octave: float
    difference: Interval
    loss: Interval
    failures: Failures
    steps: float
    best_steps: float


@dataclass(frozen=True)
class Prices:
    """What one arm costs.

    Attributes:
        kept: the reference's best rate is kept and the arm trained at it: for an arm that halves
            the gradient, half of the steps' length. None without the runs.
        turned: the arm's best rate is kept and the reference trained at it: a rate of the textbook
            used with PyTorch's gradient, twice the length. None without the runs.
    """

    kept: Price | None
    turned: Price | None


def prices(reference: Grid, other: Grid, rising: bool) -> Prices:
    """Both directions of not retuning.

    Args:
        reference, other: the arms; for one that a law makes equal to the reference, `moved`.
        rising: whether more of the test metric is better.
    """
    return Prices(kept=_kept(reference, other, rising), turned=_kept(other, reference, rising))


def regret(reference: Grid, rising: bool) -> tuple[Price, ...]:
    """The reference at `REGRET_OCTAVES` from its own best rate, against that."""
    best = reference.best
    if best is None:
        return ()
    positions = ((reference, octaves + reference.octaves[best]) for octaves in REGRET_OCTAVES)
    prices_at = (price_at(reference, best, grid, octave, rising) for grid, octave in positions)
    return tuple(price for price in prices_at if price is not None)


def moved(grid: Grid, octaves: float) -> Grid:
    """The grid of an arm that a law makes equal to `grid`'s at a learning rate by so many octaves
    higher."""
    return replace(grid, rates=grid.rates * 2.0**octaves)


def price_at(tuned: Grid, best: int, other: Grid, octave: float, rising: bool) -> Price | None:
    """Runs of `other` at an octave against those of `tuned` at column `best`; None where there are
    no pairs."""
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
    """Where a learning rate stands among those of a grid, None where it was not tried."""
    places = np.flatnonzero(np.abs(np.asarray(octaves) - octave) < TOLERANCE)
    return int(places[0]) if len(places) else None


def _kept(tuned: Grid, other: Grid, rising: bool) -> Price | None:
    best = tuned.best
    return None if best is None else price_at(tuned, best, other, tuned.octaves[best], rising)
