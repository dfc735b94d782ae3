"""The octaves by which an arm's curve must move to lie on the reference's, and the rest after it.

A curve is the validation loss over the learning rate. Below the best rate training is not chaotic:
the curve of a seed is smooth and falls. Its position on the axis of octaves is therefore known much
more precisely than the best rate itself, which few seeds choose from a flat and noisy bottom. The
shift of a seed is the mean horizontal distance between two curves over levels of the log loss from
1.25 to 2.5 times the lowest loss: near the best rate, where learning rates are tuned, but above the
bottom. This is the area between the curves divided by its height (curve registration: Ramsay and Li
1998, Curve registration, J. R. Stat. Soc. B 60:351; here only the argument is shifted).

Between learning rates a curve is interpolated by a monotone cubic. A shift by whole steps of a grid
that both arms have is exact; any other shift is off by less than 0.01 octaves, also if one arm has
steps of an octave and the other of half an octave. If a curve has only two points, as for an arm
that a law makes equal to another, it is a straight line and off by some 0.04 octaves. Farther from
the best rate the curves of real networks may have another shift, since early training differs.
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
"""Step in octaves, to either side, for the derivative of a rest with respect to the shift."""
DECIMALS = 9
"""Decimal places of shifts: octaves that a law makes equal may differ in the last bit of a
logarithm."""
TOLERANCE = 0.01
"""Octaves by which a position may lie beyond the rates tried; the end of the curve is then used."""
RESOLUTION = 0.001
"""Log ratio of losses that no number of seeds resolves, since curves are interpolated between the
rates tried: on simulated curves the mean rest of 200 seeds is off by 0.0006 with steps of an octave
and by 0.0003 with half octaves, which is a third of its standard error. Without this allowance a
rest at the margin was called equal in 7 % (40 seeds) and 10 % (200 seeds) of simulations."""
UNCHANGED = 0.1
"""Octaves: if the whole interval of the shift lies within ±this, the advice is to leave the
rate."""


@dataclass(frozen=True)
class Registration:
    """An arm's curve laid on the reference's.

    Attributes:
        shift: octaves from the reference's curve to the arm's, over seeds: the reference's learning
            rate × 2^shift puts the arm's curve on the reference's.
        rest: what is left after the move: logarithm of the ratio of test losses, arm to reference,
            at corresponding learning rates, averaged over the compared rates; over seeds.
        equivalence_p: p-value of two one-sided tests of `rest` within ± `rest_limit(margin)`.
        difference_p: p-value of `rest` being within ± `RESOLUTION`.
        margin: share of the test loss that is called equal, e.g. 0.05.
        edge: whether a best rate is the smallest or largest one tried.
        rest_summary: mean, error and degrees of freedom of `rest`; None if unknown.
        shifts, rests: values of each replicate, for summary.json.
        reason: why the curves cannot be registered, else None; all numbers are then NaN.
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
        """The factor 2^shift on the reference's learning rate."""
        return self.shift.map(lambda octaves: 2.0**octaves)

    @property
    def ratio(self) -> Interval:
        """Ratio of test losses after the move minus 1: +0.02 means that the arm's loss is 2 %
        higher."""
        return self.rest.map(math.expm1)


def register(
    reference: Grid,
    other: Grid,
    margin: float,
    untrained: float,
    control: Grid | None = None,
) -> Registration:
    """Lay an arm's curve on the reference's.

    The reference and the jitter control are two draws of the same distribution. Each seed's value
    is the mean of its comparisons with both, which varies less where training is chaotic.

    Args:
        reference, other: the two arms; the splits and seeds that both have are paired.
        margin: share of the test loss that is called equal.
        untrained: loss before training; losses above 0.9 of it are not compared; NaN if unknown.
        control: the reference with jittered initial weights. If it is None, has no curve or lacks a
            seed, only the reference is used.
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
    rest = summary(rests)
    return Registration(
        shift=shift,
        rest=rest.interval(),
        equivalence_p=rest.equivalence_p(rest_limit(margin)),
        difference_p=rest.difference_p(RESOLUTION),
        margin=margin,
        edge=edge,
        rest_summary=rest,
        shifts=tuple(known.tolist()),
        rests=tuple(rests.tolist()),
        reason=None if len(known) else "no seed has a curve that falls",
    )


def rest_limit(margin: float) -> float:
    """The log ratio of losses within which a rest must be shown to lie, for a margin such as 0.05:
    log(1 + margin) less `RESOLUTION`."""
    return math.log1p(margin) - RESOLUTION


def _mean_of_known(values: RealArray) -> RealArray:
    """Means along the first axis without NaN; NaN if all values are."""
    known = ~np.isnan(values)
    sums, counts = np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _shifts(left: Grid, right: Grid, untrained: float) -> RealArray:
    """Octaves from each curve of `left` to that of `right`, `[keys]`; NaN without a distance."""
    bottom, top = levels(left, right, untrained)
    rows = range(len(left.keys))
    shifts = [distance(falling(left, row), falling(right, row), bottom, top) for row in rows]
    return np.array(shifts).round(DECIMALS)


def _rests(reference: Grid, other: Grid, shifts: RealArray, shift: float) -> RealArray:
    """The rest of each seed, `[keys]`; NaN if unknown.

    A seed whose curve is shifted by more than the mean has a larger rest at the mean shift. This
    says nothing about the mean rest, because the mean shift comes from the same seeds, and the
    spread of such rests would overestimate the error. The effect of a seed's own shift is therefore
    removed: the value is the rest at the mean shift, plus the derivative of the rest times the
    seed's excess shift. This is the seed's influence on the mean rest (Hampel 1974, The influence
    curve and its role in robust estimation, J. Am. Stat. Assoc. 69:383).
    """
    near = shift + np.array([0.0, -STEP_OF_SHIFT, STEP_OF_SHIFT])
    rests, below, above = rests_of(reference, other, near)
    slopes = (above - below) / (2 * STEP_OF_SHIFT)
    slopes = slopes[np.isfinite(slopes)]
    slope = float(trimmed_mean(slopes)) if len(slopes) else 0.0
    return np.asarray(rests + slope * np.where(np.isfinite(shifts), shifts - shift, 0.0))


def rests_of(reference: Grid, other: Grid, shifts: RealArray) -> RealArray:
    """The mean log ratio of test losses after moving all seeds by the same octaves, as a change of
    the learning rate does.

    The arm is evaluated at the reference's rates and the reference at the arm's, where the loss is
    from 1.25 to 2.5 times the lowest. Interpolation errors then occur in both with opposite signs.

    Returns:
        `[shifts, keys]`; NaN if a run has no usable partner at corresponding rates.
    """
    there, back = (
        np.array([_gaps(base, moved, row, by) for row in range(len(base.keys))])
        for base, moved, by in ((reference, other, shifts), (other, reference, -shifts))
    )
    return np.asarray((there - back).T / 2)


def _gaps(base: Grid, moved: Grid, row: int, by: RealArray) -> RealArray:
    """For each of `by`, the mean over `base`'s rates near its best of the log loss of `moved` at
    rate · 2^by minus that of `base`."""
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
    # Compare only between neighbouring rates of the grid: a missing run leaves a gap.
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
