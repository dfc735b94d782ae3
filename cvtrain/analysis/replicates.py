"""What a replicate is: what is repeated to find out how far a claim holds.

Means and intervals are taken over replicates. Where all runs share one split of the data, each seed
is one, and an interval holds for that split. Where `data.seed` differs among runs, each split is
one: runs are paired by split and seed, and the mean over the seeds of a split is its value. Seeds
of one split are no replicates of the task, since all of them share how easy its training and test
samples happen to be. The t interval of means of clusters needs no model of how much they share
(Donner and Klar 2000, Design and analysis of cluster randomization trials in health research;
Bouthillier et al. 2021, Accounting for variance in machine learning benchmarks, on which sources of
variance to draw anew).

Splits that are drawn from one finite set, as those of the digits, share samples. An interval over
them is for splits of that set; other samples of the kind vary more (Nadeau and Bengio 2003,
Inference for the generalization error, Machine Learning 52:239).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cvtrain.analysis.load import missing
from cvtrain.analysis.statistics import RealArray

IntArray = npt.NDArray[np.int64]
RunKey = tuple[int, int]
"""Split and seed of a run: `data.seed` (0 of data without one) and `seed`."""
LARGEST = 2**53
"""Below it a float64 tells every whole number from its neighbours."""
PAIRED_BY = ["split", "seed"]
"""Columns of a table of runs that make up a `RunKey`."""


def data_splits(runs: pd.DataFrame) -> pd.Series:
    """`data.seed` of each run, 0 for data that have none; where one is no whole number, the numbers
    of the distinct values."""
    if "data.seed" not in runs:
        return pd.Series(0, index=runs.index)
    values = [0 if missing(value) else value for value in runs["data.seed"].tolist()]
    if not all(map(_is_whole, values)):
        values = pd.factorize(pd.Series(list(map(repr, values))))[0].tolist()
    return pd.Series(list(map(int, values)), index=runs.index)


def _is_whole(value: Any) -> bool:
    # Beside runs that have none, whole numbers are floating-point numbers in a table.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < LARGEST and value % 1 == 0


def run_keys(runs: pd.DataFrame) -> list[RunKey]:
    """The `RunKey` of each row of `runs`, which have columns `PAIRED_BY`."""
    pairs = runs[PAIRED_BY].itertuples(index=False, name=None)
    return [(int(split), int(seed)) for split, seed in pairs]


def replicates(keys: Sequence[RunKey]) -> IntArray:
    """The number of the replicate that each run belongs to, from 0 on in ascending order, `[runs]`:
    of its split where there are several, else of its seed."""
    units = np.array(keys, dtype=np.int64).reshape(-1, 2)
    several = len(np.unique(units[:, 0])) > 1
    return np.unique(units[:, 0 if several else 1], return_inverse=True)[1]


def replicate_means(values: RealArray, members: IntArray) -> RealArray:
    """The mean value of each replicate.

    Args:
        values: of runs, `[runs]`; NaN is unknown and left out.
        members: the replicate of each, as from `replicates`.

    Returns:
        one for each replicate that has a known value; infinite where one of its values is.
    """
    known = ~np.isnan(values)
    values, members = values[known], members[known]
    order = np.argsort(members, kind="stable")
    values, first = values[order], np.flatnonzero(np.diff(members[order])) + 1
    if len(first) + 1 < len(values):  # else each is its own mean
        with np.errstate(invalid="ignore"):
            values = np.array([group.mean() for group in np.split(values, first)])
    return values[~np.isnan(values)]


def paired_differences(other: RealArray, reference: RealArray, members: IntArray) -> RealArray:
    """`other` − `reference`, `[runs]` each, as means of replicates.

    Pairs of which one is unknown (NaN), or of which both are infinite, are left out: there is no
    difference to speak of where both runs failed.
    """
    with np.errstate(invalid="ignore"):
        return replicate_means(other - reference, members)


def seconds_per_replicate(runs: pd.DataFrame) -> float:
    """What a sweep of one replicate more would take longer, from the time in which any of its runs
    trained; NaN where that is not known. Pauses between the commands of a sweep do not count."""
    if not {"started", "wall_seconds"} <= set(runs):
        return math.nan
    first = pd.to_datetime(runs["started"], utc=True, format="ISO8601")
    known = first.notna() & runs["wall_seconds"].notna()
    if not known.any():
        return math.nan
    began = (first - first.min()).dt.total_seconds()[known].to_numpy(dtype=np.float64)
    order = np.argsort(began)
    ended = (began + runs.loc[known, "wall_seconds"].to_numpy(dtype=np.float64))[order]
    began = began[order]
    # Each run adds what it took after all that began before it had ended.
    before = np.concatenate([began[:1], np.maximum.accumulate(ended)[:-1]])
    took = np.maximum(ended - np.maximum(began, before), 0.0).sum()
    return float(took / max(len(set(replicates(run_keys(runs)))), 1))
