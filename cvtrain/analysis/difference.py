"""Two cells paired by seed: what one has more than the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats

from cvtrain.analysis.equivalence import (
    CONFIDENCE,
    SEEDS_NEEDED,
    RealArray,
    constant,
    difference_p,
)

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
        unfinished: pairs whose other run did not finish; it counts with its last usable weights.
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

    A run that was not measured, since it failed or has not ended, makes no pair.
    """
    measured = (runs.dropna(subset=[metric]) for runs in (reference, other))
    # The same run twice, as in a folder of single runs, is one run.
    left, right = (runs.drop_duplicates("seed", keep="last") for runs in measured)
    pairs = left.merge(right, on="seed", suffixes=("", "_other"))
    differences = (pairs[f"{metric}_other"] - pairs[metric]).to_numpy(dtype=np.float64)
    equal = (pairs[f"{tag}_other"] == pairs[tag] for tag in (metric, "score"))
    identical = len(pairs) > 0 and all(bool(same.all()) for same in equal)
    mean = float(differences.mean()) if len(pairs) else math.nan
    low = high = math.nan
    if len(pairs) > 1 and constant(differences):
        low = high = mean  # the interval of equal differences is that one number
    elif len(pairs) > 1:
        interval = stats.ttest_1samp(differences, 0.0).confidence_interval(CONFIDENCE)
        low, high = float(interval.low), float(interval.high)
    unfinished = int(np.isinf(pairs["score_other"]).sum())
    return Difference(mean, low, high, len(pairs), identical, unfinished, differences)


def adjusted_p(differences: Sequence[Difference]) -> list[float]:
    """The p-values of Student's paired test of no difference, adjusted for how many there are.

    Benjamini and Hochberg 1995, Controlling the false discovery rate. NaN for fewer than
    `SEEDS_NEEDED` pairs, where accuracies of a few hundred samples may well agree by chance.
    """
    plain = [
        difference_p(each.values) if each.pairs >= SEEDS_NEEDED else math.nan
        for each in differences
    ]
    known = [p for p in plain if not math.isnan(p)]
    adjusted = iter(stats.false_discovery_control(known) if known else ())
    return [p if math.isnan(p) else float(next(adjusted)) for p in plain]
