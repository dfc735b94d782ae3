"""By how many octaves an arm's curve has to move to lie on the reference's, and what is left then.

A curve is the validation loss over the learning rate. Below the best rate training is not chaotic:
there the curve of a seed is smooth and falls, and its place on the axis of octaves is far sharper
than that of the best rate, which few seeds choose from a flat and noisy bottom. The shift of a seed
is the mean horizontal distance between the two curves, over the levels of the logarithm of the loss
from 1.25 to 2.5 times the lowest: near the best rate, where learning rates are tuned to, but above
the bottom. It is the area between the curves over its height (curve registration: Ramsay and Li
1998, Curve registration, J. R. Stat. Soc. B 60:351; here by a shift of the argument alone). Between
learning rates a curve is joined by a monotone cubic: a shift by whole steps of a grid that both
arms have is exact, any other one off by less than 0.01 octaves, also where one arm has steps of an
octave and the other of half an octave. Of two points alone, as an arm has that a law makes equal to
another, the curve is a straight line, and off by some 0.04 octaves. Farther from the best rate
curves of real networks may lie apart by another shift, since the early training is another one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cvtrain.analysis.curves import distance, falling, joined, levels, near_lowest, obstacle
from cvtrain.analysis.grid import Grid, paired
from cvtrain.analysis.replicates import replicate_means
from cvtrain.analysis.statistics import (
    Interval,
    RealArray,
    Summary,
    interval,
    summary,
    trimmed_mean,
)

STEP_OF_SHIFT = 0.05
"""Octaves to either side for the derivative of a rest by the shift."""
DECIMALS = 9
"""Of shifts: octaves that a law makes equal differ in the last bit of a logarithm."""
TOLERANCE = 0.01
"""Octaves by which a place may lie beyond the rates tried, whose end then stands for it."""
UNCHANGED = 0.1
"""Octaves: a learning rate whose shift lies within, its whole interval, is left as it is."""


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
        rest_summary: what `rest` is known to; None where there is none.
        shifts, rests: by replicate, for summary.json.
        reason: why there is nothing to register, else None; all numbers are NaN then.
    """

    shift: Interval
    rest: Interval
    equivalence_p: float
    difference_p: float
    margin: float
    edge: bool
    rest_summary: Summary | None = None
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


def register(
    reference: Grid,
    other: Grid,
    margin: float,
    untrained: float,
    control: Grid | None = None,
) -> Registration:
    """Lay an arm's curve on the reference's.

    The reference and the jitter control are two draws of one thing. What a seed says of an arm is
    then the mean of what it says beside either, which varies less where training is chaotic.

    Args:
        reference, other: the two arms; splits and seeds that both have are paired.
        margin: share of the test loss that does not matter.
        untrained: loss before training, above 0.9 of which nothing is compared; NaN if unknown.
        control: the reference with jittered initial weights; None, or one that has no curve or
            lacks a seed: there is only one draw.
    """
    left, right = paired(reference, other)
    reason = obstacle(left, right, untrained)
    edge = left.edge or right.edge
    if reason is not None:
        none = Interval(math.nan, math.nan, math.nan, 0)
        return Registration(none, none, math.nan, math.nan, margin, edge, reason=reason)
    bases = [left]
    if control is not None and set(left.keys) <= set(control.keys):
        second = control.take(left.keys)
        bases += [second] if obstacle(second, right, untrained) is None else []
    by_base = np.array([_shifts(base, right, untrained) for base in bases])
    known = replicate_means(_mean_of_known(by_base), left.replicates)
    shift = interval(known)
    rests = replicate_means(
        _mean_of_known(
            np.array(
                [
                    _rests(base, right, shifts, shift.mean)
                    for base, shifts in zip(bases, by_base, strict=True)
                ]
            )
        ),
        left.replicates,
    )
    limit = math.log1p(margin)
    rest = summary(rests)
    return Registration(
        shift=shift,
        rest=rest.interval(),
        equivalence_p=rest.equivalence_p(limit),
        difference_p=rest.difference_p(),
        margin=margin,
        edge=edge,
        rest_summary=rest,
        shifts=tuple(known.tolist()),
        rests=tuple(rests.tolist()),
        reason=None if len(known) else "no seed has a curve that falls",
    )


def _mean_of_known(values: RealArray) -> RealArray:
    """Means along the first axis of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    sums, counts = np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _shifts(left: Grid, right: Grid, untrained: float) -> RealArray:
    """Octaves from each curve of `left` to that of `right`, `[keys]`; NaN where there are none."""
    bottom, top = levels(left, right, untrained)
    rows = range(len(left.keys))
    shifts = [distance(falling(left, row), falling(right, row), bottom, top) for row in rows]
    return np.array(shifts).round(DECIMALS)


def _rests(reference: Grid, other: Grid, shifts: RealArray, shift: float) -> RealArray:
    """What each seed says of the rest, `[keys]`; NaN where it says nothing.

    A seed whose curve lies farther than the mean shift has a larger rest there. That says nothing
    of the mean rest, since the mean shift comes from the same seeds, and the spread of such rests
    would be too large an error. So what follows from a seed's own shift is taken out: the rest at
    the mean shift, plus its derivative by the shift times what the own shift is above the mean.
    That is the seed's influence on the mean rest (Hampel 1974, The influence curve and its role in
    robust estimation, J. Am. Stat. Assoc. 69:383).
    """
    near = shift + np.array([0.0, -STEP_OF_SHIFT, STEP_OF_SHIFT])
    rests, below, above = rests_of(reference, other, near)
    slopes = (above - below) / (2 * STEP_OF_SHIFT)
    slopes = slopes[np.isfinite(slopes)]
    slope = float(trimmed_mean(slopes)) if len(slopes) else 0.0
    return np.asarray(rests + slope * np.where(np.isfinite(shifts), shifts - shift, 0.0))


def rests_of(reference: Grid, other: Grid, shifts: RealArray) -> RealArray:
    """The mean logarithm of the ratio of test losses after a move by so many octaves, the same for
    all seeds, as one who moves the learning rate does.

    The arm is compared at the places of the reference's rates and the reference at those of the
    arm's, where the loss is from 1.25 to 2.5 times the lowest: what a joined curve is above the
    true one appears in both with opposite signs.

    Returns:
        `[shifts, keys]`, NaN where a run has no usable partner at corresponding rates.
    """
    there, back = (
        np.array([_gaps(base, moved, row, by) for row in range(len(base.keys))])
        for base, moved, by in ((reference, other, shifts), (other, reference, -shifts))
    )
    return np.asarray((there - back).T / 2)


def _gaps(base: Grid, moved: Grid, row: int, by: RealArray) -> RealArray:
    """Mean over `base`'s rates near its best of log loss of `moved` at that rate · 2^by, less that
    of `base`; for each `by`."""
    gaps = np.full(len(by), math.nan)
    if base.best is None or moved.best is None:
        return gaps
    usable = [
        ~grid.fails[row] & (grid.test_loss[row] > 0) & np.isfinite(grid.test_loss[row])
        for grid in (base, moved)
    ]
    for grid, columns in zip((base, moved), usable, strict=True):
        columns[(grid.best or 0) + 1 :] = False
    near = usable[0] & near_lowest(base)
    places = base.octaves[near] + by[:, np.newaxis]
    # Compared is only between neighbouring rates: a run that is missing leaves a gap.
    after = np.searchsorted(moved.octaves, places - TOLERANCE)
    before = np.searchsorted(moved.octaves, places + TOLERANCE, side="right") - 1
    inside = (after < len(moved.octaves)) & (before >= 0)
    inside[inside] = usable[1][after[inside]] & usable[1][before[inside]]
    if not inside.any():
        return gaps
    octaves, logs = moved.octaves[usable[1]], np.log(moved.test_loss[row, usable[1]])
    apart = joined(octaves, logs, np.clip(places, octaves[0], octaves[-1]))
    apart -= np.log(base.test_loss[row, near])
    for index, known in enumerate(inside):
        if known.any():
            gaps[index] = apart[index, known].mean()
    return gaps
