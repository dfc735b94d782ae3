"""A run's score, the learning rate that is chosen by it, and the edge of a grid: in one place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from cvtrain.analysis.load import Sweep, missing
from cvtrain.analysis.metric import is_rising, wanted_metric
from cvtrain.analysis.replicates import (
    PAIRED_BY,
    IntArray,
    data_splits,
    replicates,
    run_keys,
)
from cvtrain.analysis.statistics import RealArray, trimmed_mean
from cvtrain.config.sections import ReportConfig

BoolArray = npt.NDArray[np.bool_]

SCALE = "objective.scale"
"""No loss that is recorded has it."""
SCORE = "val/loss"
"""Learning rates are chosen on it; the test split is looked at afterwards."""
NOT_LEARNED = 0.9
"""A run whose final validation loss is above this share of the untrained loss has not learned."""
MOST_FAILING = 0.1
"""A learning rate is eligible where no larger share of its runs fails: none of up to nine."""
NO_RATE = -1
"""The column where no learning rate is eligible."""
MOST_NUMBERS = 2**22
"""In an array of samples: 32 MB."""
ACCURACY, DECIBELS = "test accuracy, %", "test NMSE, dB"


@dataclass(frozen=True, eq=False)
class Tuned:
    """Runs that differ in learning rate, seed and split of the data alone.

    Attributes:
        best_lr: of the lowest mean validation loss over the replicates that choose; None without a
            usable one.
        edge: whether that is the smallest or largest that was tried.
        score: that loss; infinite without a usable learning rate.
        best: the runs of the judged replicates at `best_lr`.
        runs: all of them, as from `judged_runs`.
    """

    best_lr: float | None
    edge: bool
    score: float
    best: pd.DataFrame
    runs: pd.DataFrame

    @property
    def unit(self) -> str:
        """What is repeated, in words: ``data split`` where runs have several, else ``seed``."""
        return "data split" if self.runs["split"].nunique() > 1 else "seed"

    @property
    def mean(self) -> float:
        """Of the metric over `best`."""
        return float(self.best["metric"].mean())

    @property
    def spread(self) -> float:
        """Standard deviation of the metric over `best`."""
        return float(self.best["metric"].std())


def scored_runs(sweep: Sweep) -> pd.DataFrame:
    """The runs of a sweep that have begun, with the columns of `with_scores`."""
    return with_scores(sweep.runs[sweep.runs["status"] != "missing"])


def with_scores(runs: pd.DataFrame) -> pd.DataFrame:
    """`runs` with five more columns.

    - `split`: `cvtrain.analysis.replicates.data_splits`, by which and by `seed` runs are paired.
    - `score`: the final validation loss, infinite where the run did not finish or it is not a
      number.
    - `choice`: what learning rates are chosen by, lower is better: the score, or the validation
      value of `report.metric`, with its sign turned where larger is better.
    - `untrained_loss`: that of an output of zero (the logarithm of the number of classes, the power
      of the targets), from run.json; where that does not hold it, the median initial loss of runs
      that began at random weights; NaN where nothing is known.
    - `not_learned`: whether a finished run's score is above `NOT_LEARNED` of the untrained loss.
    """
    runs = runs.assign(split=data_splits(runs))
    for tag in (SCORE, "convergence/initial/loss", "untrained_loss", "start_from"):
        if tag not in runs:
            runs[tag] = math.nan
    finished = runs["status"] == "finished"
    loss = runs[SCORE].where(np.isfinite(runs[SCORE].astype(float)), math.inf)
    runs["score"] = loss.where(finished, math.inf).astype(float)
    wanted = wanted_metric(runs)
    runs["choice"] = runs["score"]
    if wanted is not None and f"val/{wanted}" in runs:
        value = runs[f"val/{wanted}"].astype(float) * (-1 if is_rising(runs, wanted) else 1)
        runs["choice"] = value.where(finished & np.isfinite(value), math.inf)
    initial = runs["convergence/initial/loss"].where(runs["start_from"].isna()).astype(float)
    initial = initial.where(np.isfinite(initial))
    of_loss = [key for key in map(str, runs) if key.startswith("objective.")]
    alike = [key for key in ("data._target_", *of_loss) if key in runs and key != SCALE]
    groups = initial.groupby([runs[key] for key in alike], dropna=False) if alike else None
    middle = initial if groups is None else groups.transform("median")
    runs["untrained_loss"] = runs["untrained_loss"].astype(float).fillna(middle)
    runs["not_learned"] = finished & (runs["score"] > NOT_LEARNED * runs["untrained_loss"])
    return runs


def chosen_rate(losses: RealArray, fails: BoolArray, seeds: int | None = None) -> int | None:
    """The column of the learning rate with the lowest 20 % trimmed mean loss.

    A rate is eligible only with all seeds, and where no more than `MOST_FAILING` of them fail: else
    it would be chosen on whatever happened to end well. Of equal ones the first is chosen.

    Args:
        losses: validation losses, `[seeds, rates]`; NaN where there is no result.
        fails: which runs failed, `[seeds, rates]`; their losses count as infinite.
        seeds: of which `MOST_FAILING` may fail, where some are left out here; None: those here.
    """
    (place,) = chosen_rates(losses, fails, [np.arange(len(losses))], seeds)
    return None if place == NO_RATE else int(place)


def chosen_rates(
    losses: RealArray, fails: BoolArray, samples: Sequence[IntArray], seeds: int | None = None
) -> IntArray:
    """The column that `chosen_rate` chooses for each of several samples of seeds.

    Args:
        losses, fails: `[seeds, rates]`, as in `chosen_rate`.
        samples: rows of these arrays, several times where they are drawn so, `[runs]` each.
        seeds: as in `chosen_rate`.

    Returns:
        `[samples]`; `NO_RATE` where none is eligible.
    """
    chosen = np.full(len(samples), NO_RATE, dtype=np.int64)
    if not losses.size:
        return chosen
    ended = np.where(fails, np.inf, losses)
    for numbers in _of_equal_length(samples, losses.shape[1]):
        rows = np.array([samples[number] for number in numbers])
        most = int(MOST_FAILING * (seeds or rows.shape[1]))
        eligible = ~np.isnan(losses)[rows].any(axis=1) & (fails[rows].sum(axis=1) <= most)
        means = trimmed_mean(ended[rows], axis=1)
        means = np.where(eligible & np.isfinite(means), means, np.inf)
        usable = np.isfinite(means).any(axis=1)
        chosen[numbers] = np.where(usable, means.argmin(axis=1), NO_RATE)
    return chosen


def _of_equal_length(samples: Sequence[IntArray], rates: int) -> list[IntArray]:
    """The numbers of the samples in groups of equal length, each small enough for the memory."""
    lengths = np.array([len(sample) for sample in samples])
    groups = []
    for length in np.unique(lengths[lengths > 0]):
        numbers = np.flatnonzero(lengths == length)
        parts = -(-len(numbers) * length * rates // MOST_NUMBERS)
        groups += np.array_split(numbers, parts)
    return groups


def best_rate(runs: pd.DataFrame) -> float | None:
    """The learning rate that `chosen_rate` chooses among `runs`, with columns `split`, `seed`,
    `optimizer.lr` and `choice` (infinite for a run without a usable result)."""
    # Not by pivot_table, which makes rows of splits and seeds that were not trained together.
    cells = runs.drop_duplicates([*PAIRED_BY, "optimizer.lr"], keep="last")
    table = cells.set_index([*PAIRED_BY, "optimizer.lr"])["choice"].unstack("optimizer.lr")
    losses = table.to_numpy(dtype=np.float64)
    column = chosen_rate(losses, np.isinf(losses))
    return None if column is None else float(table.columns[column])


def at_edge(rate: float | None, rates: Sequence[float] | pd.Series) -> bool:
    """Whether a learning rate is the smallest or largest of several, so that the best one may lie
    beyond."""
    return rate is not None and rate in (min(rates), max(rates)) and min(rates) < max(rates)


def judged_runs(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Scored runs of one task with `metric` (the second thing returned says which: `ACCURACY` or
    `DECIBELS`), `tuning` and `judged`: whether a run's replicate chooses, and whether it is
    compared. The first `report.tuning_seeds` replicates choose; without more than these all of
    them choose, and all are compared."""
    accuracy = "test/accuracy" in rows and rows["test/accuracy"].notna().any()
    metric = 100 * rows["test/accuracy"] if accuracy else 10 * np.log10(rows["test/nmse"])
    key = "report.tuning_seeds"
    wanted = rows[key].iloc[0] if key in rows else None
    number = ReportConfig().tuning_seeds if missing(wanted) else int(wanted or 0)
    tuning = replicates(run_keys(rows)) < number
    held_out = ~tuning if not tuning.all() else tuning
    judged = rows.assign(metric=metric, tuning=tuning, judged=held_out)
    return judged, ACCURACY if accuracy else DECIBELS


def tuned(runs: pd.DataFrame) -> Tuned:
    """`runs`, as from `judged_runs`, at their own best learning rate."""
    rates = runs["optimizer.lr"]
    best = best_rate(runs[runs["tuning"]])
    at_best = runs[rates == best]
    chose = at_best.loc[at_best["tuning"], "score"]
    return Tuned(
        best_lr=best,
        edge=best is not None and at_edge(best, rates),
        score=math.inf if best is None else float(chose.mean()),
        best=at_best[at_best["judged"]],
        runs=runs,
    )
