"""Runs of one kind at the learning rate that the tuning seeds chose for them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cvtrain.analysis.load import Sweep
from cvtrain.analysis.scores import best_rate, split_seeds

ACCURACY, DECIBELS = "test accuracy, %", "test NMSE, dB"


@dataclass(frozen=True, eq=False)
class Tuned:
    """Runs that differ in learning rate and seed alone.

    Attributes:
        best_lr: of the lowest mean validation loss over tuning seeds; None without a usable one.
        edge: whether that is the smallest or largest that was tried.
        score: that loss; infinite without a usable learning rate.
        best: the runs of the judged seeds at `best_lr`.
        runs: all of them, as from `judged_runs`.
    """

    best_lr: float | None
    edge: bool
    score: float
    best: pd.DataFrame
    runs: pd.DataFrame

    @property
    def mean(self) -> float:
        """Of the metric over `best`."""
        return float(self.best["metric"].mean())

    @property
    def spread(self) -> float:
        """Standard deviation of the metric over `best`."""
        return float(self.best["metric"].std())


def scored_runs(sweep: Sweep) -> pd.DataFrame:
    """The runs that have begun, with `score`: the validation loss, infinite where not finished."""
    runs = sweep.runs[sweep.runs["status"] != "missing"].copy()
    finished = runs["status"] == "finished"
    if "val/loss" not in runs:  # nothing has been validated yet
        return runs.assign(score=math.inf)
    runs["score"] = runs["val/loss"].where(finished, math.inf).fillna(math.inf)
    return runs


def judged_runs(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Scored runs of one task with `metric` (the second thing returned says which: `ACCURACY` or
    `DECIBELS`), `tuning` and `judged`: whether a run's seed chooses, and whether it is compared."""
    accuracy = "test/accuracy" in rows and rows["test/accuracy"].notna().any()
    metric = 100 * rows["test/accuracy"] if accuracy else 10 * np.log10(rows["test/nmse"])
    tuning, held_out = split_seeds(rows)
    seeds = rows["seed"]
    judged = rows.assign(
        metric=metric, tuning=seeds.isin(tuning), judged=seeds.isin(held_out or tuning)
    )
    return judged, ACCURACY if accuracy else DECIBELS


def tuned(runs: pd.DataFrame) -> Tuned:
    """`runs`, as from `judged_runs`, at their own best learning rate."""
    rates = runs["optimizer.lr"]
    best = best_rate(runs[runs["tuning"]])
    there = runs[rates == best]
    chose = there.loc[there["tuning"], "score"]
    return Tuned(
        best_lr=best,
        edge=best in (rates.min(), rates.max()) and rates.nunique() > 1,
        score=math.inf if best is None else float(chose.mean()),
        best=there[there["judged"]],
        runs=runs,
    )
