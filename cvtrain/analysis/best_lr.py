"""A run's score, the learning rate that the scores choose, and the edge of a grid of rates."""

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
"""Key of the factor on the loss. Recorded losses do not contain this factor."""
SCORE = "val/loss"
"""Signal by which learning rates are chosen. The test split is read only afterwards."""
NOT_LEARNED = 0.9
"""A run whose final validation loss is above this share of the untrained loss has not learned."""
MOST_FAILING = 0.1
"""Largest share of failed runs at an eligible learning rate: none of up to nine runs."""
NO_RATE = -1
"""Column index that means: no learning rate is eligible."""
MOST_NUMBERS = 2**22
"""Largest number of entries in an array of samples: 32 MB."""
ACCURACY, DECIBELS = "test accuracy, %", "test NMSE, dB"


@dataclass(frozen=True, eq=False)
class Tuned:
    """Runs that differ only in learning rate, seed and split of the data.

    Attributes:
        best_lr: learning rate of the lowest mean validation loss over the choosing replicates; None
            if none is usable.
        edge: whether `best_lr` is the smallest or largest rate tried.
        score: mean validation loss at `best_lr`; infinite without a usable learning rate.
        best: the runs of the judged replicates at `best_lr`.
        runs: all runs, as returned by `judged_runs`.
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
        """Mean of the metric over `best`."""
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

    - `split`: split of the data, from `cvtrain.analysis.replicates.data_splits`; runs are paired by
      it and by `seed`.
    - `score`: final validation loss; infinite if the run did not finish or the loss is NaN.
    - `choice`: value by which learning rates are chosen, lower is better: the score, or the
      validation value of `report.metric`, negated if larger is better.
    - `untrained_loss`: loss of an output of zero (the logarithm of the number of classes, or the
      power of the targets), from run.json. Without it, the median initial loss of runs that began
      at random weights; NaN if that is unknown too.
    - `not_learned`: whether a finished run's score is above `NOT_LEARNED` of the untrained loss.
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

    A rate is eligible only if all seeds have a result and at most a share `MOST_FAILING` of them
    fail; otherwise a rate could win by a few lucky runs. The first of several equal rates is
    chosen.

    Args:
        losses: validation losses, `[seeds, rates]`; NaN without a result.
        fails: which runs failed, `[seeds, rates]`; their losses count as infinite.
        seeds: number of seeds of which `MOST_FAILING` may fail, if some are left out here; None:
            all in `losses`.
    """
    (place,) = chosen_rates(losses, fails, [np.arange(len(losses))], seeds)
    return None if place == NO_RATE else int(place)


def chosen_rates(
    losses: RealArray, fails: BoolArray, samples: Sequence[IntArray], seeds: int | None = None
) -> IntArray:
    """The column that `chosen_rate` chooses for each of several samples of seeds.

    Args:
        losses, fails: `[seeds, rates]`, as in `chosen_rate`.
        samples: row indices of each sample, `[runs]`; a row may occur several times.
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
    """Indices of the samples in groups of equal length, each small enough for the memory."""
    lengths = np.array([len(sample) for sample in samples])
    groups = []
    for length in np.unique(lengths[lengths > 0]):
        numbers = np.flatnonzero(lengths == length)
        parts = -(-len(numbers) * length * rates // MOST_NUMBERS)
        groups += np.array_split(numbers, parts)
    return groups


def best_rate(runs: pd.DataFrame) -> float | None:
    """The learning rate that `chosen_rate` chooses, or None.

    Args:
        runs: rows with columns `split`, `seed`, `optimizer.lr` and `choice` (infinite for a run
            without a usable result).
    """
    # pivot_table would add rows for splits and seeds that were not trained together.
    cells = runs.drop_duplicates([*PAIRED_BY, "optimizer.lr"], keep="last")
    table = cells.set_index([*PAIRED_BY, "optimizer.lr"])["choice"].unstack("optimizer.lr")
    losses = table.to_numpy(dtype=np.float64)
    column = chosen_rate(losses, np.isinf(losses))
    return None if column is None else float(table.columns[column])


def at_edge(rate: float | None, rates: Sequence[float] | pd.Series) -> bool:
    """Whether a learning rate is the smallest or largest of several: the best rate may then lie
    beyond."""
    return rate is not None and rate in (min(rates), max(rates)) and min(rates) < max(rates)


def judged_runs(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Mark the replicates that choose the learning rate and those that are compared.

    The first `report.tuning_seeds` replicates choose. If there are no more than these, all
    replicates choose and all are compared.

    Args:
        rows: scored runs of one task.

    Returns:
        the rows with columns `metric`, `tuning` and `judged`, and the name of the metric:
        `ACCURACY` or `DECIBELS`.
    """
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
    """Choose the best learning rate of `runs`, as returned by `judged_runs`."""
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
