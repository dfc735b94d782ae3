"""Two cells paired by split and seed: what one has more than the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import stats

from cvtrain.analysis.grid import RESULTS
from cvtrain.analysis.replicates import RunKey, paired_differences, replicates, run_keys
from cvtrain.analysis.statistics import CONFIDENCE, RealArray, constant, interval

SEEDS_NEEDED = 10
"""Replicates, before a test of means is made in the comparison of two networks or rules."""
DISCOVERY_RATE = 0.05
"""Share of false ones among the differences that are called so (Benjamini and Hochberg 1995)."""


@dataclass(frozen=True)
class Difference:
    """Paired differences of a test metric, an arm's minus the reference's.

    Attributes:
        mean: over replicates: seeds, or splits of the data where there are several.
        low, high: Student's t interval of the mean at `CONFIDENCE`; NaN for a single replicate.
        pairs: how many pairs of runs.
        identical: in every pair all of the compared numbers are equal, to the last bit.
        unfinished: pairs whose other run failed: it diverged, and counts with its last usable
            weights, or a test value of either is no finite number, and the pair has no difference.
        values: the difference of each replicate, `[replicates]`.
    """

    mean: float
    low: float
    high: float
    pairs: int
    identical: bool
    unfinished: int = 0
    values: RealArray = field(default_factory=lambda: np.empty(0), compare=False, repr=False)


def paired_difference(reference: pd.DataFrame, other: pd.DataFrame, metric: str) -> Difference:
    """Runs of equal split and seed, as from `cvtrain.analysis.best_lr.with_scores`, `other` −
    `reference`; identical if metric and score are, everywhere.

    A run that was not measured, since it crashed or has not ended, makes no pair; one whose test
    value is infinite, or that was trained to the end and has none, makes one that failed.
    """
    left, right = (_measured(runs, metric) for runs in (reference, other))
    keys = [key for key in left if key in right]
    pairs = np.array([(left[key], right[key]) for key in keys]).reshape(-1, 2, 2)
    values, scores = pairs[..., 0], pairs[..., 1]
    finite = np.isfinite(values).all(axis=1)
    failed = ~finite | np.isinf(scores[:, 1])
    keys = [key for key, known in zip(keys, finite, strict=True) if known]
    before, after = values[finite].T
    differences = paired_differences(after, before, replicates(keys))
    equal = finite.all() and (pairs[:, 0] == pairs[:, 1]).all()
    identical = bool(len(keys)) and bool(equal)
    mean = float(differences.mean()) if len(keys) else math.nan
    low = high = math.nan
    if len(differences) > 1 and constant(differences):
        low = high = mean  # the interval of equal differences is that one number
    elif len(differences) > 1:
        ends = stats.ttest_1samp(differences, 0.0).confidence_interval(CONFIDENCE)
        low, high = float(ends.low), float(ends.high)
    return Difference(mean, low, high, len(keys), identical, int(failed.sum()), differences)


def _measured(runs: pd.DataFrame, metric: str) -> dict[RunKey, tuple[float, float]]:
    """Metric and score by split and seed of the runs that were measured, or trained to the end."""
    columns = (runs[name].to_numpy(dtype=np.float64).tolist() for name in (metric, "score"))
    rows = zip(run_keys(runs), *columns, runs["status"].tolist(), strict=True)
    measured = [
        (key, value, score)
        for key, value, score, status in rows
        if not math.isnan(value) or status in RESULTS
    ]
    # The same run twice, as in a folder of single runs, is one run: the later one.
    return {key: (value, score) for key, value, score in measured}


def trimmed(difference: Difference) -> Difference:
    """The same differences with the statistic by which a sweep's arms are judged: the 20 % trimmed
    mean over replicates, and its interval (`cvtrain.analysis.statistics.summary`)."""
    if difference.identical or not len(difference.values):
        return difference
    of_values = interval(difference.values)
    return replace(difference, mean=of_values.mean, low=of_values.low, high=of_values.high)


def student_p(differences: RealArray) -> float:
    """The p-value of Student's paired test of no difference, two-sided.

    Equal differences leave no doubt: 1 where they are 0, else 0. NaN for fewer than two, and where
    one is no finite number.
    """
    if len(differences) < 2 or not np.isfinite(differences).all():
        return math.nan
    if constant(differences):
        return 1.0 if differences[0] == 0 else 0.0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def adjusted_p(differences: Sequence[Difference]) -> list[float]:
    """The p-values of Student's paired test of no difference, adjusted for how many there are.

    Benjamini and Hochberg 1995, Controlling the false discovery rate. NaN for fewer than
    `SEEDS_NEEDED` replicates, where accuracies of a few hundred samples may well agree by chance.
    """
    plain = [
        student_p(d.values) if len(d.values) >= SEEDS_NEEDED else math.nan for d in differences
    ]
    known = [p for p in plain if not math.isnan(p)]
    adjusted = iter(stats.false_discovery_control(known) if known else ())
    return [p if math.isnan(p) else float(next(adjusted)) for p in plain]
