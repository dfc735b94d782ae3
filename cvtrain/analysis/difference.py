"""Two cells paired by seed: what one has more than the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats

from cvtrain.analysis.statistics import CONFIDENCE, RealArray, constant

SEEDS_NEEDED = 10
"""Pairs, before a test of means over seeds is made in the comparison of two networks or rules."""
DISCOVERY_RATE = 0.05
"""Share of false ones among the differences that are called so (Benjamini and Hochberg 1995)."""


@dataclass(frozen=True)
class Difference:
    """Paired differences over seeds of a test metric, an arm's minus the reference's.

    Attributes:
        mean: their mean.
        low, high: Student's t interval of the mean at `CONFIDENCE`; NaN for a single seed.
        pairs: how many.
        identical: in every pair all of the compared numbers are equal, to the last bit.
        unfinished: pairs whose other run failed: it diverged, and counts with its last usable
            weights, or a test value of either is no finite number, and the pair has no difference.
        values: the differences themselves, `[pairs]`.
    """

    mean: float
    low: float
    high: float
    pairs: int
    identical: bool
    unfinished: int = 0
    values: RealArray = field(default_factory=lambda: np.empty(0), compare=False, repr=False)


def paired_difference(reference: pd.DataFrame, other: pd.DataFrame, metric: str) -> Difference:
    """Runs of equal seed, `other` − `reference`; identical if metric and score are, everywhere.

    A run that was not measured, since it crashed or has not ended, makes no pair; one whose test
    value is infinite, or that was trained to the end and has none, makes one that failed.
    """
    measured = (
        runs[runs[metric].notna() | runs["status"].isin(["finished", "diverged"])]
        for runs in (reference, other)
    )
    # The same run twice, as in a folder of single runs, is one run.
    left, right = (runs.drop_duplicates("seed", keep="last") for runs in measured)
    pairs = left.merge(right, on="seed", suffixes=("", "_other"))
    values = pairs[[metric, f"{metric}_other"]].to_numpy(dtype=np.float64)
    finite = np.isfinite(values).all(axis=1)
    failed = ~finite | np.isinf(pairs["score_other"].to_numpy(dtype=np.float64))
    pairs = pairs[finite]
    differences = (pairs[f"{metric}_other"] - pairs[metric]).to_numpy(dtype=np.float64)
    equal = (pairs[f"{tag}_other"] == pairs[tag] for tag in (metric, "score"))
    identical = bool(len(pairs)) and bool(finite.all()) and all(bool(same.all()) for same in equal)
    mean = float(differences.mean()) if len(pairs) else math.nan
    low = high = math.nan
    if len(pairs) > 1 and constant(differences):
        low = high = mean  # the interval of equal differences is that one number
    elif len(pairs) > 1:
        interval = stats.ttest_1samp(differences, 0.0).confidence_interval(CONFIDENCE)
        low, high = float(interval.low), float(interval.high)
    return Difference(mean, low, high, len(pairs), identical, int(failed.sum()), differences)


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
    `SEEDS_NEEDED` pairs, where accuracies of a few hundred samples may well agree by chance.
    """
    plain = [
        student_p(each.values) if each.pairs >= SEEDS_NEEDED else math.nan for each in differences
    ]
    known = [p for p in plain if not math.isnan(p)]
    adjusted = iter(stats.false_discovery_control(known) if known else ())
    return [p if math.isnan(p) else float(next(adjusted)) for p in plain]
