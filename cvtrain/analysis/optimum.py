"""Comparison of arms at their best learning rates, by test metric and by failures.

Each replicate (seed, or split of the data) is judged at the rate that the other replicates choose.
Leaving a replicate out of the choice keeps its own luck out of it (Stone 1974, Cross-validatory
choice and assessment of statistical predictions), and still all replicates are judged. Because the
choices share replicates, the differences are not independent and intervals are approximate (Bates,
Hastie and Tibshirani 2024, Cross-validation: what does it estimate and how well does it do it?).
Their error is therefore that of a bootstrap in which rates are chosen anew; simulations with known
truth in tests/analysis check the levels.

The reference and the jitter control are two draws of the same distribution: an arm is compared with
the mean of the two, and is different only if it differs from both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cvtrain.analysis.best_lr import NO_RATE, chosen_rates
from cvtrain.analysis.grid import Grid, paired
from cvtrain.analysis.replicates import IntArray, paired_differences, replicate_means
from cvtrain.analysis.statistics import (
    Interval,
    RealArray,
    Summary,
    discordance_p,
    summary,
    summary_means,
)

RESAMPLES = 200
SEED = 20120
"""Seed of the bootstrap: a report is reproducible."""


@dataclass(frozen=True)
class Failures:
    """Paired failures of training, each arm at its own learning rate.

    Attributes:
        other, reference: number of failed runs of the arm and of the reference.
        pairs: number of pairs of runs of equal split and seed.
        only_other, only_reference: pairs in which only this run failed.
        worse_p: McNemar's exact one-sided p-value of "the arm fails more often".
        unequal_p: two-sided p-value of "not equally often".
    """

    other: int
    reference: int
    pairs: int
    only_other: int
    only_reference: int
    worse_p: float
    unequal_p: float

    @property
    def text(self) -> str:
        """Failures as text, e.g. ``; 5 of 16 runs fail, 0 of the reference's``; empty if none
        fails."""
        if not self.other + self.reference:
            return ""
        return f"; {self.other} of {self.pairs} runs fail, {self.reference} of the reference's"

    @property
    def suspicious(self) -> bool:
        """Whether the arm may fail more often, at a level of 25 %: two more failures among few
        seeds. Then no arm is called equal, even if the difference is not significant."""
        return self.worse_p <= 0.25


@dataclass(frozen=True)
class Optimum:
    """An arm at its best learning rate against the reference at its own.

    Attributes:
        difference: difference of the test metric, arm − mean of reference and jitter control; a
            failed run counts as worse than any number.
        equivalence_p: p-value of two one-sided tests of `difference` within ±`margin`.
        difference_p: the larger p-value of no difference from the reference and from the jitter
            control; NaN without a control.
        failures: paired failures at these rates.
        margin: largest difference that is called equal.
        edge: whether a best rate is the smallest or largest one tried.
        summary: mean, error and degrees of freedom of `difference`; None if unknown.
        differences: difference of each replicate, for summary.json; infinite if one of the pair
            failed.
        octaves: log₂ of the arm's rate over the reference's, chosen on all seeds.
    """

    difference: Interval
    equivalence_p: float
    difference_p: float
    failures: Failures
    margin: float
    edge: bool
    summary: Summary | None
    differences: tuple[float, ...]
    octaves: float


@dataclass(frozen=True, eq=False)
class Sample:
    """The test metric of runs, each at the learning rate chosen for it.

    Attributes:
        values: metric of the reference, the arm and, if there is one, the control, `[runs]` each.
        members: replicate of each run, `[runs]`.
    """

    values: tuple[RealArray, ...]
    members: IntArray


def leave_one_out(grid: Grid) -> IntArray:
    """For each run the column of the rate that the other replicates choose, `[keys]`; `NO_RATE` if
    none is eligible. A single replicate chooses for itself."""
    members = grid.replicates
    numbers = np.unique(members)
    others = [
        np.flatnonzero(members != number if len(numbers) > 1 else members == number)
        for number in numbers
    ]
    places = chosen_rates(grid.chosen_by, grid.fails, others, len(members))
    columns: IntArray = places[np.searchsorted(numbers, members)]
    return columns


def judged(grid: Grid, rising: bool) -> tuple[RealArray, npt.NDArray[np.bool_]]:
    """Test metric and failure of each run at the rate that the other replicates choose.

    Returns:
        values and failures, `[keys]` each; a failed run has the worst value, ∓infinity, and a run
        without a result NaN.
    """
    columns = leave_one_out(grid)
    rows = np.arange(len(columns))
    values, fails = grid.ranked_metric(rising)[rows, columns], grid.fails[rows, columns]
    unknown = (columns == NO_RATE) | ~grid.present[rows, columns]
    return np.where(unknown, np.nan, values), fails & ~unknown


def at_optimum(
    reference: Grid, other: Grid, control: Grid | None, margin: float, rising: bool
) -> Optimum | None:
    """Compare an arm with the reference, each at its best learning rate.

    Args:
        reference, other: the arms; the splits and seeds that all arms have are paired.
        control: the reference with jittered initial weights, or None.
        margin: largest difference of the metric that is called equal.
        rising: whether larger values of the metric are better.

    Returns:
        None if the reference has no eligible learning rate, or the arms share no split and seed. If
        the arm has no eligible rate, only its failures, at the rate at which it fails least.
    """
    grids = paired(reference, other) if control is None else paired(reference, other, control)
    if not grids[0].keys or grids[0].best is None:
        return None
    if grids[1].best is None:
        return _failures_alone(grids[0], grids[1], margin)
    if grids[-1].best is None:  # the control's
        return at_optimum(reference, other, None, margin, rising)
    values, fails = zip(*(judged(grid, rising) for grid in grids), strict=True)
    runs = Sample(values, grids[0].replicates)
    resampled = _rechosen(grids, rising)
    pooled = _tested(runs, resampled, _pooled)
    from_reference = _tested(runs, resampled, lambda sample: sample.values[0]).difference_p()
    from_control = np.nan
    if len(grids) > 2:
        from_control = _tested(runs, resampled, lambda sample: sample.values[2]).difference_p()
    known = ~np.isnan(values[0]) & ~np.isnan(values[1])
    left, right = grids[0].best, grids[1].best
    assert left is not None and right is not None
    return Optimum(
        difference=pooled.interval(),
        equivalence_p=pooled.equivalence_p(margin),
        difference_p=float(np.max([from_reference, from_control])),  # NaN without a control
        failures=failures(fails[0][known], fails[1][known]),
        margin=margin,
        edge=any(grid.edge for grid in grids[:2]),
        summary=pooled,
        differences=tuple(paired_differences(values[1], _pooled(runs), runs.members).tolist()),
        octaves=float(grids[1].octaves[right] - grids[0].octaves[left]),
    )


def _failures_alone(reference: Grid, other: Grid, margin: float) -> Optimum | None:
    best, least = reference.best, other.least_failing
    if best is None or least is None:
        return None
    known = reference.present[:, best] & other.present[:, least]
    nothing = Interval(np.nan, np.nan, np.nan, 0)
    return Optimum(
        nothing,
        np.nan,
        np.nan,
        failures(reference.fails[known, best], other.fails[known, least]),
        margin,
        edge=False,
        summary=None,
        differences=(),
        octaves=float(other.octaves[least] - reference.octaves[best]),
    )


def _tested(
    judged_runs: Sample, resampled: Sequence[Sample], base: Callable[[Sample], RealArray]
) -> Summary:
    """The trimmed mean of an arm's difference from `base`, with an error that includes the choice
    of rates.

    All replicates share the chosen rates, so their spread does not show how the choice varies. A
    bootstrap over replicates that chooses the rates anew does; the larger of its error and Yuen's
    is used.
    """

    def differences(sample: Sample) -> RealArray:
        with np.errstate(invalid="ignore"):
            return sample.values[1] - base(sample)

    own = summary(replicate_means(differences(judged_runs), judged_runs.members))
    means = _means([differences(sample) for sample in resampled], [s.members for s in resampled])
    means = means[np.isfinite(means)]
    if np.isnan(own.error) or len(means) < RESAMPLES / 2:
        return own
    return replace(own, error=max(own.error, float(means.std(ddof=1))))


def _means(samples: Sequence[RealArray], members: Sequence[IntArray]) -> RealArray:
    """The trimmed mean over replicates of each sample, `[samples]`."""
    # In the usual case every replicate is one run and no value is unknown: compute all at once.
    plain = [
        not np.isnan(values).any() and bool((np.diff(numbers) > 0).all())
        for values, numbers in zip(samples, members, strict=True)
    ]
    if samples and all(plain) and len({len(values) for values in samples}) == 1:
        return summary_means(np.array(samples))
    pairs = zip(samples, members, strict=True)
    return np.array([summary(replicate_means(*pair)).mean for pair in pairs])


def _rechosen(grids: Sequence[Grid], rising: bool) -> list[Sample]:
    """Bootstrap samples of whole replicates, each judged at the rates that the sample chooses; all
    arms use the same replicates."""
    members = grids[0].replicates
    rows_of = [np.flatnonzero(members == number) for number in np.unique(members)]
    size = len(rows_of)
    numbers = np.random.default_rng(SEED).integers(0, size, (RESAMPLES, size))
    samples = [np.concatenate([rows_of[number] for number in drawn]) for drawn in numbers]
    values = []
    for grid in grids:
        metric = np.pad(grid.ranked_metric(rising), ((0, 0), (0, 1)), constant_values=np.nan)
        columns = chosen_rates(grid.chosen_by, grid.fails, samples)
        values.append([metric[rows, column] for rows, column in zip(samples, columns, strict=True)])
    lengths = np.array([len(rows) for rows in rows_of])
    parts = [np.repeat(np.arange(size), lengths[drawn]) for drawn in numbers]
    return [Sample(*pair) for pair in zip(zip(*values, strict=True), parts, strict=True)]


def failures(reference: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> Failures:
    """McNemar's comparison of paired failures, bool `[pairs]` each."""
    only_other, only_reference = int((other & ~reference).sum()), int((reference & ~other).sum())
    worse, unequal = discordance_p(only_other, only_reference)
    return Failures(
        other=int(other.sum()),
        reference=int(reference.sum()),
        pairs=len(reference),
        only_other=only_other,
        only_reference=only_reference,
        worse_p=worse,
        unequal_p=unequal,
    )


def _pooled(sample: Sample) -> RealArray:
    """The mean of reference and jitter control, or the usable one of the two."""
    bases = np.array([sample.values[0], *sample.values[2:]])
    usable = np.isfinite(bases)
    sums = np.where(usable, bases, 0.0).sum(axis=0)
    counts = usable.sum(axis=0)
    pooled: RealArray = np.where(counts > 0, sums / np.maximum(counts, 1), bases[0])
    return pooled
