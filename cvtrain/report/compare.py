"""Arms compared: the best learning rate of each, and paired differences over seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from cvtrain.engine.convergence import DEFAULT_GOALS
from cvtrain.report.arms import NULL, REFERENCE, label_runs
from cvtrain.report.load import Sweep

NOT_LEARNED = 0.9
"""A run whose final validation loss is above this share of its initial one has not learned."""
CONFIDENCE = 0.95
SCORE = "val/loss"
"""Learning rates are chosen on it; the test split is looked at afterwards."""


@dataclass(frozen=True)
class Difference:
    """Paired differences over seeds of a test metric, an arm's minus the reference's.

    Attributes:
        mean: their mean.
        low, high: Student's t interval of the mean at `CONFIDENCE`; NaN for a single seed.
        pairs: how many.
        identical: in every pair all of the compared numbers are equal, to the last bit.
        unfinished: pairs whose other run did not finish; it counts with its last usable weights.
    """

    mean: float
    low: float
    high: float
    pairs: int
    identical: bool
    unfinished: int = 0


@dataclass(frozen=True)
class Arm:
    """One arm of a group, at its best learning rate.

    Attributes:
        best_lr: of the lowest mean validation loss over seeds, a run that diverged or failed
            counting as infinite; None where no learning rate has only usable runs.
        edge: whether it is the smallest or largest one that was tried (of several).
        score: the mean validation loss there.
        test_mean, test_spread: mean and standard deviation over seeds of the test metric there.
        steps_to_target: median over seeds there; infinite where most never arrive.
        runs, diverged, not_learned, failed, unfinished: numbers of runs, all learning rates.
        shift: octaves from the reference's best learning rate to this one's; None without either.
        retuned: difference at the best learning rate of each.
        unretuned: difference at the reference's best learning rate.
    """

    name: str
    best_lr: float | None
    edge: bool
    score: float
    test_mean: float
    test_spread: float
    steps_to_target: float
    runs: int
    diverged: int
    not_learned: int
    failed: int
    unfinished: int
    shift: float | None = None
    retuned: Difference | None = None
    unretuned: Difference | None = None


@dataclass(frozen=True)
class Group:
    """The arms of one optimizer (and setting).

    Attributes:
        arms: the reference first, the null arm last.
        metric: tag of the test metric, e.g. ``test/accuracy``.
        goal: what "steps to target" means, e.g. ``accuracy 0.95``.
    """

    name: str
    arms: tuple[Arm, ...]
    metric: str
    goal: str

    def arm(self, name: str) -> Arm | None:
        """The arm of that name, where there is one."""
        return next((arm for arm in self.arms if arm.name == name), None)


@dataclass(frozen=True)
class Comparison:
    """A whole sweep compared.

    Attributes:
        groups: in the order of their first runs.
        runs: the begun runs, with `group`, `arm` and `score` (the final validation loss, infinite
            where a run did not finish).
    """

    groups: tuple[Group, ...]
    runs: pd.DataFrame


def compare(sweep: Sweep) -> Comparison:
    """Choose learning rates on validation, compare arms on test, pair by seed."""
    begun = sweep.runs[sweep.runs["status"] != "missing"].copy()
    if begun.empty:
        return Comparison((), begun)
    for tag in (SCORE, "test/loss", "convergence/initial/loss", "convergence/steps_to_target"):
        if tag not in begun:
            begun[tag] = math.nan
    runs = label_runs(begun, sweep.config_keys)
    finished = runs["status"] == "finished"
    runs["score"] = runs[SCORE].where(finished, math.inf).fillna(math.inf)
    learned = runs[SCORE] <= NOT_LEARNED * runs["convergence/initial/loss"]
    runs["not_learned"] = finished & ~learned
    groups = (_group(str(name), rows) for name, rows in runs.groupby("group", sort=False))
    return Comparison(tuple(groups), runs)


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
    return Difference(mean, low, high, len(pairs), identical, unfinished)


def constant(differences: npt.NDArray[np.float64]) -> bool:
    """Whether they are one number up to rounding: Student's test has no answer for those."""
    return bool(np.ptp(differences) <= 1e-12 * np.abs(differences).max())


def _group(name: str, rows: pd.DataFrame) -> Group:
    metric = _test_metric(rows)
    names = list(rows["arm"].unique())
    names.sort(key=lambda arm: (arm == NULL, arm != REFERENCE))
    reference = rows[rows["arm"] == REFERENCE]
    reference_lr = best_rate(reference)
    arms = []
    for arm_name in names:
        own = rows[rows["arm"] == arm_name]
        best = best_rate(own)
        rates = own["optimizer.lr"]
        there = own[rates == best]
        shift = retuned = unretuned = None
        if arm_name != REFERENCE and reference_lr is not None:
            baseline = reference[reference["optimizer.lr"] == reference_lr]
            unchanged = own[rates == reference_lr]
            unretuned = paired_difference(baseline, unchanged, metric)
            if best is not None:
                shift = math.log2(best / reference_lr)
                retuned = paired_difference(baseline, there, metric)
        status = own["status"]
        arms.append(
            Arm(
                name=arm_name,
                best_lr=best,
                edge=best in (rates.min(), rates.max()) and rates.nunique() > 1,
                score=float(there["score"].mean()),
                test_mean=float(there[metric].mean()),
                test_spread=float(there[metric].std()),
                steps_to_target=float(there["convergence/steps_to_target"].median()),
                runs=len(own),
                diverged=int((status == "diverged").sum()),
                not_learned=int(own["not_learned"].sum()),
                failed=int((status == "failed").sum()),
                unfinished=int(status.isin(["running", "interrupted"]).sum()),
                shift=shift,
                retuned=retuned,
                unretuned=unretuned,
            )
        )
    return Group(name, tuple(arms), metric, _goal(rows, metric))


def best_rate(runs: pd.DataFrame) -> float | None:
    """The learning rate of the lowest mean score over seeds; the smaller of equal ones."""
    means = runs.groupby("optimizer.lr")["score"].mean()
    usable = means[np.isfinite(means)]
    return None if usable.empty else float(usable.idxmin())


def _test_metric(runs: pd.DataFrame) -> str:
    """The first metric that these runs' test split was measured by, before its loss."""
    measured = runs.columns[runs.notna().any()]
    tags = [tag for tag in measured if tag.startswith("test/") and tag != "test/loss"]
    return tags[0] if tags else "test/loss"


def _goal(runs: pd.DataFrame, metric: str) -> str:
    usual = dict(DEFAULT_GOALS.values())
    name, value = runs["target.metric"].iloc[0], runs["target.value"].iloc[0]
    name = metric.removeprefix("test/") if pd.isna(name) else str(name).removeprefix("val/")
    value = usual.get(name, math.nan) if pd.isna(value) else value
    return f"{name} {value:g}"
