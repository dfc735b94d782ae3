"""Statistics of paired differences over seeds: small pure functions on arrays.

All means are 20 % trimmed means, so one or two outlying runs change neither a mean nor its
interval. Up to four values are too few to trim and have the ordinary mean and Student's t. An
infinite value counts as worse (or better) than any number: a trimmed mean stays finite as long as
no more than the trimmed share on either side is infinite (Permutt and Li 2017, Trimmed means for
symptom trials with dropouts, Pharmaceutical Statistics 16:20).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtr, stdtrit

RealArray = npt.NDArray[np.float64]
CONFIDENCE = 0.95
LEVEL = 0.05
"""Significance level of a test, or of all looks at a sweep together; p is significant if p <
`LEVEL`."""
POWER = 0.8
TRIM = 0.2
MOST_SEEDS = 1000
"""Largest number of seeds that is suggested."""


@dataclass(frozen=True)
class Interval:
    """A trimmed mean over seeds and its interval at `CONFIDENCE`; NaN ends where there is none.

    Attributes:
        mean: the 20 % trimmed mean.
        low, high: the ends of the interval.
        seeds: number of values.
    """

    mean: float
    low: float
    high: float
    seeds: int

    @property
    def known(self) -> bool:
        """Whether there is an interval, with finite ends."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def map(self, function: Callable[[float], float]) -> Interval:
        """The interval of an increasing function of the value, e.g. of `math.exp`."""
        mean, low, high = map(function, (self.mean, self.low, self.high))
        return Interval(mean, low, high, self.seeds)


@dataclass(frozen=True)
class Summary:
    """A mean over seeds with its standard error, from which intervals and tests follow.

    Attributes:
        mean: the 20 % trimmed mean.
        error: standard error of the mean; NaN if unknown.
        freedom: degrees of freedom of Student's t.
        seeds: number of values.
    """

    mean: float
    error: float
    freedom: int
    seeds: int

    def interval(self) -> Interval:
        """The interval at `CONFIDENCE`, of Student's t."""
        half = self.error * float(stdtrit(max(self.freedom, 1), (1 + CONFIDENCE) / 2))
        return Interval(self.mean, self.mean - half, self.mean + half, self.seeds)

    def difference_p(self, beyond: float = 0.0) -> float:
        """The two-sided p-value of no difference, or of none beyond ±`beyond`.

        Without spread p is 0 if the mean is beyond and 1 otherwise. NaN without a standard error.
        """
        if math.isnan(self.error):
            return math.nan
        excess = max(abs(self.mean) - beyond, 0.0)
        if self.error == 0:
            return 1.0 if excess == 0 else 0.0
        return float(2 * stdtr(self.freedom, -excess / self.error))

    def equivalence_p(self, margin: float) -> float:
        """The p-value of two one-sided tests (TOST): small where the mean lies within ±margin.

        Schuirmann 1987, A comparison of the two one-sided tests procedure and the power approach
        for assessing the equivalence of average bioavailability; with trimmed means: Mara and
        Cribbie 2012, Paired-samples tests of equivalence. This is the larger of the two p-values,
        so it is below 0.05 exactly if the 90 % interval lies within the margin. NaN without a
        standard error.
        """
        if math.isnan(self.error) or math.isnan(margin):
            return math.nan
        if self.error == 0:
            return 0.0 if abs(self.mean) < margin else 1.0
        return float(stdtr(self.freedom, (abs(self.mean) - margin) / self.error))

    def seeds_for_answer(
        self, margin: float, level_at: Callable[[RealArray], RealArray]
    ) -> int | None:
        """Total number of seeds that gives an answer with probability `POWER`.

        The smaller of two numbers: at which equivalence within ±margin would show, and at which the
        observed difference would. None if `MOST_SEEDS` are not enough, or if the spread is unknown.

        Args:
            margin: largest mean that is called equal to 0.
            level_at: significance level of the tests as a function of the number of seeds.
        """
        if math.isnan(self.error) or self.error == 0:
            return None
        n = np.arange(self.seeds + 1, MOST_SEEDS + 1)
        freedom = np.maximum(n - 2 * (TRIM * n).astype(int) - 1, 1)
        errors = self.error * math.sqrt(self.seeds) / np.sqrt(n)
        level = level_at(n.astype(np.float64))
        mean, reach = abs(self.mean), stdtrit(freedom, 1 - level)
        equal = ndtr((margin - mean) / errors - reach)
        equal -= ndtr(reach - (margin + mean) / errors)
        differ = ndtr(mean / errors - stdtrit(freedom, 1 - level / 2))
        enough = np.flatnonzero(np.maximum(equal, differ) >= POWER)
        return int(n[enough[0]]) if len(enough) else None


def trimmed_mean(values: RealArray, axis: int = 0) -> RealArray:
    """The 20 % trimmed mean along a non-empty axis; infinite if more values are infinite than are
    trimmed."""
    n = values.shape[axis]
    g = int(TRIM * n)
    with np.errstate(invalid="ignore"):
        core = np.sort(values, axis=axis).take(np.arange(g, n - g), axis=axis)
        means: RealArray = core.mean(axis=axis)
    return means


def summary_means(values: RealArray) -> RealArray:
    """`summary(row).mean` of each row of `values` `[rows, n]`, which has no NaN."""
    ordered = np.sort(values, axis=1)
    n = values.shape[1]
    g = int(TRIM * n)
    core = ordered[:, g : n - g]
    with np.errstate(invalid="ignore"):
        means: RealArray = core.mean(axis=1)
        ends = core[:, [0, -1]]
        one_number = np.isfinite(ends).all(axis=1)
        one_number &= np.ptp(ends, axis=1) <= 1e-12 * np.abs(ends).max(axis=1)
        tied = (core[:, 0] == core[:, -1]) & (ordered[:, 0] != ordered[:, -1])
        means = np.where(one_number, core[:, 0], means)
        if g and tied.any():
            means[tied] = ordered[tied].mean(axis=1)
    return means


def constant(values: RealArray) -> bool:
    """Whether finite values are equal up to rounding; infinite values never are."""
    return bool(np.isfinite(values).all() and np.ptp(values) <= 1e-12 * np.abs(values).max())


def summary(values: RealArray) -> Summary:
    """The trimmed mean of `values` `[n]` with Yuen's standard error.

    Yuen 1974, The two-sample trimmed t for unequal population variances; for one sample as in Tukey
    and McLaughlin 1963. With g = ⌊0.2 n⌋ values trimmed on either side and h = n − 2g left, the
    squared error is (n−1)·s²/(h(h−1)), where s² is the variance after the trimmed values are
    replaced by the nearest remaining ones; degrees of freedom h − 1. If the remaining values are
    equal but not all values are (ties), s² is 0 and says nothing: the ordinary mean and variance
    are then used.
    """
    n = len(values)
    if n == 0:
        return Summary(math.nan, math.nan, 0, 0)
    ordered = np.sort(values)
    g = int(TRIM * n)
    if g and ordered[g] == ordered[-g - 1] and ordered[0] != ordered[-1]:
        g = 0
    core = ordered[g : n - g]
    if not np.isfinite(core[[0, -1]]).all():
        with np.errstate(invalid="ignore"):
            return Summary(float(core.mean()), math.nan, 0, n)
    h = len(core)
    mean = float(core.mean())
    if h < 2:
        return Summary(mean, math.nan, 0, n)
    spread = float(np.clip(ordered, core[0], core[-1]).std(ddof=1))
    if constant(core):  # rounding may change the last bit of their mean
        mean, spread = float(core[0]), 0.0
    return Summary(mean, spread * math.sqrt((n - 1) / (h * (h - 1))), h - 1, n)


def interval(values: RealArray) -> Interval:
    """The trimmed mean of `values` `[n]` and its interval, of Student's t with Yuen's error."""
    return summary(values).interval()


def discordance_p(only_other: int, only_reference: int) -> tuple[float, float]:
    """McNemar's exact test on pairs in which exactly one run failed.

    McNemar 1947, Note on the sampling error of the difference between correlated proportions. If
    both arms fail equally often, the failed run of a pair is either one with probability ½.

    Args:
        only_other: pairs in which only the other run failed.
        only_reference: pairs in which only the reference failed.

    Returns:
        the p-values of "the other fails more often" (one-sided) and of "not equally often"
        (two-sided).
    """
    total = only_other + only_reference

    def at_least(count: int) -> float:
        ways = sum(math.comb(total, number) for number in range(count, total + 1))
        return ways / (1 << total)  # of two integers: the nearest float64

    return at_least(only_other), min(1.0, 2 * at_least(max(only_other, only_reference)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number, so that all claims hold together; NaN stays.

    Holm 1979, A simple sequentially rejective multiple test procedure. Controls the probability of
    a single false claim among all.
    """
    p = np.array(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    p[order] = np.minimum(1, np.maximum.accumulate(p[order] * factors))
    return [float(value) for value in p]


def significant(p: float, level: float = LEVEL) -> bool:
    """Whether a p-value is below a level; false for NaN."""
    return p < level
