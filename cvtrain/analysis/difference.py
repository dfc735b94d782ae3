"""Two sets of runs paired by split and seed, and the differences of their test metric."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from cvtrain.analysis.grid import RESULTS
from cvtrain.analysis.replicates import RunKey, paired_differences, replicates, run_keys
from cvtrain.analysis.statistics import CONFIDENCE, RealArray, constant, interval

SEEDS_NEEDED = 10
"""Number of replicates from which means of two networks or rules are tested."""
DISCOVERY_RATE = 0.05
"""Expected share of false claims among the claimed differences (Benjamini and Hochberg 1995)."""


@dataclass(frozen=True)
class Difference:
    """Paired differences of a test metric, arm minus reference.

    Attributes:
        mean: mean over replicates: seeds, or splits of the data if there are several.
        low, high: Student's t interval of the mean at `CONFIDENCE`; NaN for a single replicate.
        pairs: number of pairs of runs.
        identical: whether all compared numbers are bit-identical in every pair.
        unfinished: number of pairs that failed: the other run diverged (it counts with its last
            usable weights), or a test value is not finite (the pair then has no difference).
        values: difference of each replicate, `[replicates]`.
    """

    mean: float
    low: float
    high: float
    pairs: int
    identical: bool
    unfinished: int = 0
    values: RealArray = field(default_factory=lambda: np.empty(0), compare=False, repr=False)


def paired_difference(reference: pd.DataFrame, other: pd.DataFrame, metric: str) -> Difference:
    """Pair runs of equal split and seed and take `other` − `reference` of the test metric.

    `identical` means that metric and score are equal in every pair. A run that was not measured,
    because it crashed or has not ended, makes no pair. A run makes a failed pair if its test value
    is infinite, or if it was trained to the end and has no test value.

    Args:
        reference, other: runs as returned by `cvtrain.analysis.best_lr.with_scores`.
        metric: column of the test metric.
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
        tail = (1 - CONFIDENCE) / 2
        reach = stdtrit(len(differences) - 1, [tail, 1 - tail])
        low, high = map(float, mean + reach * _standard_error(differences))
    return Difference(mean, low, high, len(keys), identical, int(failed.sum()), differences)


def _measured(runs: pd.DataFrame, metric: str) -> dict[RunKey, tuple[float, float]]:
    """Metric and score by split and seed, of the runs that were measured or trained to the end."""
    columns = (runs[name].to_numpy(dtype=np.float64).tolist() for name in (metric, "score"))
    rows = zip(run_keys(runs), *columns, runs["status"].tolist(), strict=True)
    measured = [
        (key, value, score)
        for key, value, score, status in rows
        if not math.isnan(value) or status in RESULTS
    ]
    # If a run occurs twice, as in a folder of single runs, the later one counts.
    return {key: (value, score) for key, value, score in measured}


def trimmed(difference: Difference) -> Difference:
    """The same differences with the statistic that judges the arms of a sweep: the 20 % trimmed
    mean over replicates and its interval (`cvtrain.analysis.statistics.summary`)."""
    if difference.identical or not len(difference.values):
        return difference
    of_values = interval(difference.values)
    return replace(difference, mean=of_values.mean, low=of_values.low, high=of_values.high)


@dataclass(frozen=True)
class SameRate:
    """An arm against the reference at one learning rate that both have.

    Attributes:
        lr: the learning rate.
        difference: difference of the test metric, trimmed mean.
        steps, reference_steps: median steps to the goal; infinite if most runs do not reach it.
    """

    lr: float
    difference: Difference
    steps: float
    reference_steps: float


def same_rates(reference: pd.DataFrame, own: pd.DataFrame, metric: str) -> Iterator[SameRate]:
    """Compare runs of an arm with those of the reference at each learning rate that both have."""
    reference_rates = set(reference["optimizer.lr"])
    for lr, rows in own.groupby("optimizer.lr"):
        if lr in reference_rates:
            reference_rows = reference[reference["optimizer.lr"] == lr]
            yield SameRate(
                float(lr),  # type: ignore[arg-type]  # pandas types the keys of groups too widely
                trimmed(paired_difference(reference_rows, rows, metric)),
                float(rows["convergence/steps_to_target"].median()),
                float(reference_rows["convergence/steps_to_target"].median()),
            )


def student_p(differences: RealArray) -> float:
    """The two-sided p-value of Student's paired test of no difference.

    If all differences are equal, p is 1 if they are 0 and 0 otherwise. NaN for fewer than two
    differences, and if one is not finite.
    """
    if len(differences) < 2 or not np.isfinite(differences).all():
        return math.nan
    if constant(differences):
        return 1.0 if differences[0] == 0 else 0.0
    t = abs(differences.mean()) / _standard_error(differences)
    return float(2 * stdtr(len(differences) - 1, -t))


def _standard_error(values: RealArray) -> float:
    n = len(values)
    return float(np.sqrt(values.var() * (n / (n - 1)) / n))


def adjusted_p(differences: Sequence[Difference]) -> list[float]:
    """The p-values of Student's paired test of no difference, adjusted for their number.

    Benjamini and Hochberg 1995, Controlling the false discovery rate. NaN for fewer than
    `SEEDS_NEEDED` replicates, since accuracies on a few hundred samples may agree by chance.
    """
    plain = [
        student_p(d.values) if len(d.values) >= SEEDS_NEEDED else math.nan for d in differences
    ]
    known = [p for p in plain if not math.isnan(p)]
    if not known:
        return plain
    from scipy import stats  # takes a second to import

    adjusted = iter(stats.false_discovery_control(known))
    return [p if math.isnan(p) else float(next(adjusted)) for p in plain]
