"""What paired differences say: equivalence to a margin, and intervals of means over seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

RealArray = npt.NDArray[np.float64]
CONFIDENCE = 0.95
SEEDS_NEEDED = 10
"""Held out from choosing learning rates, before an answer leans on statistics."""
RESAMPLES = 2000
SEED = 20120
"""Of the bootstrap, so that a report says the same each time."""


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and its interval at `CONFIDENCE`; NaN ends for a single seed."""

    mean: float
    low: float
    high: float
    seeds: int


def constant(differences: RealArray) -> bool:
    """Whether they are one number up to rounding: Student's test has no answer for those."""
    return bool(np.ptp(differences) <= 1e-12 * np.abs(differences).max())


def equivalence_p(differences: RealArray, margin: float) -> float:
    """The p-value of two one-sided t-tests (TOST): small where the mean lies within ±margin.

    Schuirmann 1987, A comparison of the two one-sided tests procedure and the power approach for
    assessing the equivalence of average bioavailability. The larger p of the two, so below 0.05
    just where the 90 % interval lies within the margin.

    Args:
        differences: paired ones, `[n]`.
        margin: largest mean difference that does not matter, above 0.

    Returns:
        NaN for fewer than two differences.
    """
    if len(differences) < 2:
        return math.nan
    if constant(differences):
        return 0.0 if abs(differences[0]) < margin else 1.0
    above = stats.ttest_1samp(differences, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, margin, alternative="less").pvalue
    return float(max(above, below))


def difference_p(differences: RealArray) -> float:
    """The p-value of Student's paired test of no difference, two-sided.

    Equal differences leave no doubt: 1 where they are 0, else 0. NaN for fewer than two.
    """
    if len(differences) < 2:
        return math.nan
    if constant(differences):
        return 1.0 if differences[0] == 0 else 0.0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def bootstrap_interval(values: RealArray) -> Interval:
    """The mean of `values` `[n]` with a bootstrap interval (BCa) over seeds.

    Efron 1987, Better bootstrap confidence intervals. Where all values are equal, resampling has
    nothing to vary, and the interval is that number.
    """
    n = len(values)
    mean = float(values.mean()) if n else math.nan
    if n < 2:
        return Interval(mean, math.nan, math.nan, n)
    if constant(values):
        return Interval(mean, mean, mean, n)
    found = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="BCa",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return Interval(mean, float(found.low), float(found.high), n)
