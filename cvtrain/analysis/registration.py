"""By how many octaves an arm's curve has to move to lie on the reference's, and what is left then.

A curve is the validation loss over the learning rate. Below the best rate training is not chaotic:
there the curve of a seed is smooth and falls, and its place on the axis of octaves is far sharper
than that of the best rate, which few seeds choose from a flat and noisy bottom. The shift of a seed
is the mean horizontal distance between the two curves, over the levels of the logarithm of the loss
from 1.25 to twice the lowest: near the best rate, where learning rates are tuned to, but above the
bottom. It is the area between the curves over its height (curve registration: Ramsay and Li 1998,
Curve registration, J. R. Stat. Soc. B 60:351; here by a shift of the argument alone). Between
learning rates a curve is joined by straight lines: a shift by whole steps of the grid is exact, any
other one off by at most some 0.01 octaves at steps of one octave, a quarter of that at half of the
step. Farther from the best rate curves of real networks may lie apart by another shift, since the
early training is another one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cvtrain.analysis.best_lr import NOT_LEARNED
from cvtrain.analysis.grid import Grid, paired
from cvtrain.analysis.replicates import replicate_means
from cvtrain.analysis.statistics import (
    Interval,
    RealArray,
    interval,
    summary,
)

GOOD = 1.25
"""Levels are compared down to this many times the lowest median loss: below, curves are flat."""
NEAR = 2.0
"""Levels are compared up to this many times the lowest median loss: above, training is another."""
LEAST_HEIGHT = math.log(1.25)
"""Of the levels of log loss that are compared: a curve that falls by less is flat."""
DECIMALS = 9
"""Of shifts: octaves that a law makes equal differ in the last bit of a logarithm."""
TOLERANCE = 0.01
"""Octaves by which a place may lie beyond the rates tried, whose end then stands for it."""
UNCHANGED = 0.1
"""Octaves: a learning rate whose shift lies within, its whole interval, is left as it is."""
LEVELS = 64
"""At so many levels the distance is taken; it is a straight line between any two of them."""


@dataclass(frozen=True)
class Registration:
    """An arm's curve laid on the reference's.

    Attributes:
        shift: octaves from the reference's curve to the arm's, over seeds: the learning rate of the
            reference × 2^shift makes the arm's curve the reference's.
        rest: what is left after the move: logarithm of the ratio of the arm's test loss to the
            reference's at corresponding learning rates, mean over those at which the curves were
            compared, over seeds.
        equivalence_p: of two one-sided tests of `rest` within ± log(1 + margin).
        difference_p: of `rest` being 0.
        margin: share of the test loss that does not matter, e.g. 0.05.
        edge: whether the best rate of either is the smallest or largest one that was tried.
        seeds_needed: that would answer whether the rest is within the margin; None where unknown.
        shifts, rests: by replicate, for summary.json.
        reason: why there is nothing to register, else None; all numbers are NaN then.
    """

    shift: Interval
    rest: Interval
    equivalence_p: float
    difference_p: float
    margin: float
    edge: bool
    seeds_needed: int | None = None
    shifts: tuple[float, ...] = ()
    rests: tuple[float, ...] = ()
    reason: str | None = None

    @property
    def unchanged(self) -> bool:
        """Whether the learning rate may stay: the whole interval of the shift is within
        `UNCHANGED` octaves."""
        return self.shift.known and max(abs(self.shift.low), abs(self.shift.high)) <= UNCHANGED

    @property
    def factor(self) -> Interval:
        """What to multiply the reference's learning rate by: 2^shift."""
        return self.shift.map(lambda octaves: 2.0**octaves)

    @property
    def ratio(self) -> Interval:
        """Of test losses after the move, less 1: +0.02 is two per cent more loss in the arm."""
        return self.rest.map(math.expm1)


def register(reference: Grid, other: Grid, margin: float, untrained: float) -> Registration:
    """Lay an arm's curve on the reference's.

    Args:
        reference, other: the two arms; splits and seeds that both have are paired.
        margin: share of the test loss that does not matter.
        untrained: loss before training, above 0.9 of which nothing is compared; NaN if unknown.
    """
    left, right = paired(reference, other)
    reason = _obstacle(left, right, untrained)
    edge = left.edge or right.edge
    if reason is not None:
        none = Interval(math.nan, math.nan, math.nan, 0)
        return Registration(none, none, math.nan, math.nan, margin, edge, reason=reason)
    bottom, top = _levels(left, right, untrained)
    shifts = np.array(
        [
            _shift(_falling(left, row), _falling(right, row), bottom, top)
            for row in range(len(left.keys))
        ]
    ).round(DECIMALS)
    known = replicate_means(shifts, left.replicates)
    shift = interval(known)
    rests = rest_of(left, right, shift.mean)
    limit = math.log1p(margin)
    rest = summary(rests)
    return Registration(
        shift=shift,
        rest=rest.interval(),
        equivalence_p=rest.equivalence_p(limit),
        difference_p=rest.difference_p(),
        margin=margin,
        edge=edge,
        seeds_needed=rest.seeds_for_answer(limit),
        shifts=tuple(known.tolist()),
        rests=tuple(rests.tolist()),
        reason=None if len(known) else "no seed has a curve that falls",
    )


def rest_of(reference: Grid, other: Grid, shift: float) -> RealArray:
    """The mean logarithm of the ratio of test losses after a move by `shift` octaves, the same for
    all seeds, as one who moves the learning rate does.

    The arm is compared at the places of the reference's rates and the reference at those of the
    arm's, where the loss is from 1.25 to twice the lowest: what straight lines are above a curved
    one appears in both with opposite signs.

    Returns:
        per replicate, without those that have no usable runs at corresponding rates.
    """
    there, back = (
        np.array([_gap(base, moved, row, by) for row in range(len(base.keys))])
        for base, moved, by in ((reference, other, shift), (other, reference, -shift))
    )
    return replicate_means((there - back) / 2, reference.replicates)


def _gap(base: Grid, moved: Grid, row: int, by: float) -> float:
    """Mean over `base`'s rates near its best of log loss of `moved` at that rate · 2^by, less that
    of `base`."""
    if base.best is None or moved.best is None:
        return math.nan
    logs: list[tuple[RealArray, RealArray]] = []
    for grid in (base, moved):
        usable = ~grid.fails[row] & (grid.test_loss[row] > 0) & np.isfinite(grid.test_loss[row])
        usable[(grid.best or 0) + 1 :] = False
        if grid is base:
            lowest = np.nanmin(grid.median_loss)
            usable &= grid.median_loss <= NEAR * lowest
            usable &= grid.median_loss >= GOOD * lowest
        logs.append((grid.octaves[usable], np.log(grid.test_loss[row, usable])))
    (octaves, values), (others, other_values) = logs
    if not len(others) or not len(octaves):
        return math.nan
    places = octaves + by
    inside = (places >= others[0] - TOLERANCE) & (places <= others[-1] + TOLERANCE)
    if not inside.any():
        return math.nan
    gaps = np.interp(places[inside], others, other_values) - values[inside]
    return float(gaps.mean())


def _levels(left: Grid, right: Grid, untrained: float) -> tuple[float, float]:
    """Lowest and highest logarithm of the loss at which the two curves are compared."""
    lowest = max(float(np.nanmin(grid.median_loss)) for grid in (left, right))
    top = NEAR * lowest if math.isnan(untrained) else min(NEAR * lowest, NOT_LEARNED * untrained)
    return math.log(GOOD * lowest), math.log(top)


def _falling(grid: Grid, row: int) -> tuple[RealArray, RealArray]:
    """Octaves and log losses of one seed up to the lowest median loss, where they fall; a run that
    failed, or is no better than one at a smaller rate, is left out."""
    octaves: list[float] = []
    logs: list[float] = []
    for place in range(int(np.nanargmin(grid.median_loss)) + 1):
        loss = grid.loss[row, place]
        if grid.fails[row, place] or not 0 < loss < np.inf:
            continue
        if not logs or math.log(loss) < logs[-1]:
            octaves.append(grid.octaves[place])
            logs.append(math.log(loss))
    return np.array(octaves), np.array(logs)


def _shift(
    left: tuple[RealArray, RealArray],
    right: tuple[RealArray, RealArray],
    bottom: float,
    top: float,
    least: float = LEAST_HEIGHT / 2,
) -> float:
    """Mean horizontal distance between two falling curves; NaN where they have too few levels in
    common."""
    if not len(left[1]) or not len(right[1]):
        return math.nan
    low = max(bottom, left[1][-1], right[1][-1])
    high = min(top, left[1][0], right[1][0])
    if high - low < least:
        return math.nan
    levels = np.linspace(low, high, LEVELS)
    places = (np.interp(levels, logs[::-1], octaves[::-1]) for octaves, logs in (left, right))
    first, second = places
    return float(np.trapezoid(second - first, levels) / (high - low))


def _obstacle(left: Grid, right: Grid, untrained: float) -> str | None:
    """Why there is nothing to register, or None."""
    if not left.keys:
        return "the arms have no seed in common"
    curves = []
    for who, grid in (("the reference's", left), ("the arm's", right)):
        middles = grid.median_loss
        if not np.isfinite(middles).any():
            return f"{who} runs fail at every learning rate"
        usable = np.where(np.isnan(middles), np.inf, middles)
        lowest = int(usable.argmin())
        if usable[lowest] <= 0:
            return f"{who} loss reaches 0, of which there is no logarithm"
        if lowest == 0:
            return f"{who} curve does not fall: its best learning rate is the smallest one tried"
        part = usable[: lowest + 1]
        part = part[np.isfinite(part)]
        if math.log(part.max() / part[-1]) < LEAST_HEIGHT:
            return f"{who} curve is flat: the loss falls by less than 25 % below the best rate"
        curves.append(np.log(part))
    bottom, top = _levels(left, right, untrained)
    high = min(top, *(curve.max() for curve in curves))
    low = max(bottom, *(curve.min() for curve in curves))
    if high - low < LEAST_HEIGHT / 2:
        return "the curves have too few levels of the loss in common; smaller learning rates"
    return None
