"""Arms compared: the best learning rate of each, and paired differences over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from cvtrain.analysis.arms import NULL, REFERENCE, label_runs
from cvtrain.analysis.difference import Difference, paired_difference
from cvtrain.analysis.effective_lr import predicted_shift
from cvtrain.analysis.exact_pairs import (
    Pair,
    acting_configuration,
    exact_pairs,
    is_mixed,
    obstacles,
)
from cvtrain.analysis.load import Sweep
from cvtrain.analysis.lr_shift import Shift, shift
from cvtrain.config.sections import ReportConfig
from cvtrain.training.convergence import DEFAULT_GOALS

NOT_LEARNED = 0.9
"""A run whose final validation loss is above this share of its initial one has not learned."""
ACCURACY = "test/accuracy"
ACCURACY_MARGIN = 0.005
RELATIVE_MARGIN = 0.05
"""The default of `report.margin`: half a percentage point, or a share of the reference's mean."""
SCORE = "val/loss"
"""Learning rates are chosen on it; the test split is looked at afterwards."""


@dataclass(frozen=True)
class Arm:
    """One arm of a group, at its best learning rate.

    Attributes:
        best_lr: of the lowest mean validation loss over the tuning seeds, a run that diverged or
            failed counting as infinite; None where no learning rate has only usable runs.
        edge: whether it is the smallest or largest one that was tried (of several).
        score: the mean validation loss there, over the judged seeds, as all of the following.
        test_mean, test_spread: mean and standard deviation of the test metric there.
        steps_to_target: median there; infinite where most never arrive.
        runs, diverged, not_learned, failed, unfinished: numbers of runs, all learning rates.
        shift: octaves from the reference's best learning rate to this one's; None without either.
        retuned: difference at the best learning rate of each.
        unretuned: difference at the reference's best learning rate.
        prices: what the arm costs at each learning rate that both have, if left there.
        octaves: shifts of landmarks, from all seeds.
        pairs: runs that a law makes equal to one of the reference.
        obstacles: why no learning rate makes the arm equal to the reference; empty where one does.
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
    prices: tuple[Price, ...] = ()
    octaves: Shift | None = None
    pairs: tuple[Pair, ...] = ()
    obstacles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Price:
    """An arm against the reference at one learning rate, the same for both.

    Attributes:
        lr: the learning rate.
        difference: of the test metric, over the judged seeds.
        steps, reference_steps: medians of the steps to the target; infinite where most of the runs
            never arrive.
    """

    lr: float
    difference: Difference
    steps: float
    reference_steps: float


@dataclass(frozen=True)
class Group:
    """The arms of one optimizer (and setting).

    Attributes:
        arms: the reference first, the jitter control last.
        metric: tag of the test metric, e.g. ``test/accuracy``.
        goal: what "steps to target" means, e.g. ``accuracy 0.95``.
        margin: largest difference of the test metric that does not matter; NaN without a reference.
        tuning: seeds that chose learning rates.
        held_out: seeds that did not, and are compared; empty where all do both.
    """

    name: str
    arms: tuple[Arm, ...]
    metric: str
    goal: str
    margin: float = math.nan
    tuning: tuple[int, ...] = ()
    held_out: tuple[int, ...] = ()

    def arm(self, name: str) -> Arm | None:
        """The arm of that name, where there is one."""
        return next((arm for arm in self.arms if arm.name == name), None)


@dataclass(frozen=True)
class Comparison:
    """A whole sweep compared.

    Attributes:
        groups: in the order of their first runs.
        runs: the begun runs, with `group`, `arm` and `score` (the final validation loss, infinite
            where a run did not finish) and `not_learned`.
        predicted_shifts: by group and arm, octaves by which the law moves the best learning rate;
            NaN where it does not say.
    """

    groups: tuple[Group, ...]
    runs: pd.DataFrame
    predicted_shifts: Mapping[tuple[str, str], float] = field(default_factory=dict)


def compare(sweep: Sweep) -> Comparison:
    """Choose learning rates on validation and the tuning seeds, compare arms on test and the other
    seeds, pair by seed."""
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
    pairs = exact_pairs(runs, sweep.config_keys, sweep.directory)
    groups = (
        _group(str(name), rows, sweep.config_keys, [p for p in pairs if p.group == name])
        for name, rows in runs.groupby("group", sort=False)
    )
    predicted = {
        (str(first["group"]), str(first["arm"])): predicted_shift(first, is_mixed(first))
        for first in runs.drop_duplicates(["group", "arm"]).to_dict("records")
    }
    return Comparison(tuple(groups), runs, predicted)


def _group(name: str, rows: pd.DataFrame, config_keys: Sequence[str], pairs: list[Pair]) -> Group:
    metric = test_metric(rows)
    names = list(rows["arm"].unique())
    names.sort(key=lambda arm: (arm == NULL, arm != REFERENCE))
    tuning, held_out = split_seeds(rows)
    reference = rows[rows["arm"] == REFERENCE]
    arms = [
        _arm(arm, rows[rows["arm"] == arm], reference, metric, (tuning, held_out)) for arm in names
    ]
    described = []
    for arm in arms:
        first = rows[rows["arm"] == arm.name].iloc[0]
        config = acting_configuration(first, config_keys)
        why = () if arm.name in (REFERENCE, NULL) else tuple(obstacles(config, is_mixed(first)))
        ours = tuple(pair for pair in pairs if pair.arm == arm.name)
        described.append(replace(arm, pairs=ours, obstacles=why))
    base = described[0]
    scale = abs(base.test_mean) if base.name == REFERENCE else math.nan
    return Group(
        name,
        tuple(described),
        metric,
        _goal(rows, metric),
        margin=_margin(rows, metric, scale),
        tuning=tuning,
        held_out=held_out,
    )


def split_seeds(rows: pd.DataFrame) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Seeds that choose learning rates, and those that are compared; without enough seeds for
    both, all of them choose, and none is held out."""
    key = "report.tuning_seeds"
    wanted = rows[key].iloc[0] if key in rows else math.nan
    number = ReportConfig().tuning_seeds if _missing(wanted) else int(wanted)
    seeds = sorted(int(seed) for seed in rows["seed"].unique())
    return tuple(seeds[:number]), tuple(seeds[number:])


def _arm(
    name: str,
    own: pd.DataFrame,
    reference: pd.DataFrame,
    metric: str,
    seeds: tuple[tuple[int, ...], tuple[int, ...]],
) -> Arm:
    tuning, held_out = seeds
    judged = held_out or tuning
    rates = own["optimizer.lr"]
    best = best_rate(own[own["seed"].isin(tuning)])
    reference_lr = best_rate(reference[reference["seed"].isin(tuning)])
    there = own[(rates == best) & own["seed"].isin(judged)]
    status = own["status"]
    arm = Arm(
        name=name,
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
    )
    if name == REFERENCE or reference_lr is None:
        return arm
    baseline = reference[reference["seed"].isin(judged)]
    at_best = baseline[baseline["optimizer.lr"] == reference_lr]
    unchanged = own[(rates == reference_lr) & own["seed"].isin(judged)]
    arm = replace(
        arm,
        unretuned=paired_difference(at_best, unchanged, metric),
        prices=tuple(_prices(baseline, own[own["seed"].isin(judged)], metric)),
        octaves=shift(reference, own),
    )
    if best is None:
        return arm
    retuned = paired_difference(at_best, there, metric)
    return replace(arm, shift=math.log2(best / reference_lr), retuned=retuned)


def _prices(reference: pd.DataFrame, own: pd.DataFrame, metric: str) -> Iterator[Price]:
    there = set(reference["optimizer.lr"])
    for lr, rows in own.groupby("optimizer.lr"):
        if lr in there:
            beside = reference[reference["optimizer.lr"] == lr]
            yield Price(
                float(lr),  # type: ignore[arg-type]  # pandas types the keys of groups too widely
                paired_difference(beside, rows, metric),
                float(rows["convergence/steps_to_target"].median()),
                float(beside["convergence/steps_to_target"].median()),
            )


def _margin(rows: pd.DataFrame, metric: str, reference: float) -> float:
    """`report.margin`, or its default: absolute for accuracy, else a share of the reference."""
    key = "report.margin"
    given: Any = rows[key].iloc[0] if key in rows else None
    if not _missing(given):
        return float(given)
    return ACCURACY_MARGIN if metric == ACCURACY else RELATIVE_MARGIN * reference


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def best_rate(runs: pd.DataFrame) -> float | None:
    """The learning rate of the lowest mean score over seeds; the smaller of equal ones."""
    means = runs.groupby("optimizer.lr")["score"].mean()
    usable = means[np.isfinite(means)]
    return None if usable.empty else float(usable.idxmin())


def test_metric(runs: pd.DataFrame) -> str:
    """The first metric that these runs' test split was measured by, before its loss."""
    measured = runs.columns[runs.notna().any()]
    tags = [tag for tag in measured if tag.startswith("test/") and tag != "test/loss"]
    return tags[0] if tags else "test/loss"


def _goal(runs: pd.DataFrame, metric: str) -> str:
    usual = dict(DEFAULT_GOALS.values())
    name, value = runs["goal.metric"].iloc[0], runs["goal.value"].iloc[0]
    name = metric.removeprefix("test/") if pd.isna(name) else str(name).removeprefix("val/")
    value = usual.get(name, math.nan) if pd.isna(value) else value
    return f"{name} {value:g}"
