"""Replicates: the unit over which means and intervals are taken.

If all runs share one split of the data, each seed is a replicate, and an interval holds for that
split. If `data.seed` differs among runs, each split is one: runs are paired by split and seed, and
the value of a split is the mean over its seeds. Seeds of one split are not replicates of the task,
since they share how easy its training and test samples happen to be. The t interval of means of
clusters needs no model of how much they share (Donner and Klar 2000, Design and analysis of cluster
randomization trials in health research; Bouthillier et al. 2021, Accounting for variance in machine
learning benchmarks, on which sources of variance to draw anew).

Splits drawn from one finite set, such as the digits, share samples. An interval over them holds for
splits of that set; other samples of the same kind vary more (Nadeau and Bengio 2003, Inference for
the generalization error, Machine Learning 52:239).
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
"""Up to this number a float64 represents every integer."""
PAIRED_BY = ["split", "seed"]
"""Columns of a table of runs that make up a `RunKey`."""


def data_splits(runs: pd.DataFrame) -> pd.Series:
    """`data.seed` of each run, 0 for data without one. If a value is not a whole number, the index
    of the value among the distinct ones."""
    if "data.seed" not in runs:
        return pd.Series(0, index=runs.index)
    values = [0 if missing(value) else value for value in runs["data.seed"].tolist()]
    if not all(map(_is_whole, values)):
        values = pd.factorize(pd.Series(list(map(repr, values))))[0].tolist()
    return pd.Series(list(map(int, values)), index=runs.index)


def _is_whole(value: Any) -> bool:
    # If some runs have no value, a table stores whole numbers as floats.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < LARGEST and value % 1 == 0


def run_keys(runs: pd.DataFrame) -> list[RunKey]:
    """The `RunKey` of each row of `runs`, which needs the columns `PAIRED_BY`."""
    pairs = runs[PAIRED_BY].itertuples(index=False, name=None)
    return [(int(split), int(seed)) for split, seed in pairs]


def replicates(keys: Sequence[RunKey]) -> IntArray:
    """The index of each run's replicate, from 0 on in ascending order, `[runs]`: by split if there
    are several, else by seed."""
    units = np.array(keys, dtype=np.int64).reshape(-1, 2)
    several = len(np.unique(units[:, 0])) > 1
    return np.unique(units[:, 0 if several else 1], return_inverse=True)[1]


def replicate_means(values: RealArray, members: IntArray) -> RealArray:
    """The mean value of each replicate.

    Args:
        values: one value per run, `[runs]`; NaN is left out.
        members: replicate of each run, as returned by `replicates`.

    Returns:
        one mean for each replicate with a known value; infinite if one of its values is.
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
    """Means over replicates of `other` − `reference`, `[runs]` each.

    Pairs with an unknown value (NaN), and pairs in which both values are infinite because both runs
    failed, are left out.
    """
    with np.errstate(invalid="ignore"):
        return replicate_means(other - reference, members)


def seconds_per_replicate(runs: pd.DataFrame) -> float:
    """Seconds that one more replicate would add to a sweep, estimated from the time in which its
    runs trained, without pauses between commands; NaN if unknown."""
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
    # Each run adds the time after the end of all runs that began before it.
    before = np.concatenate([began[:1], np.maximum.accumulate(ended)[:-1]])
    took = np.maximum(ended - np.maximum(began, before), 0.0).sum()
    return float(took / max(len(set(replicates(run_keys(runs)))), 1))
