"""Shift of an arm's best learning rate, cliff and window against the reference, in octaves, per
seed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cvtrain.analysis.replicates import RunKey, replicate_means, replicates, run_keys
from cvtrain.analysis.statistics import Interval, RealArray, interval

GOOD = 1.25
"""A learning rate is good where the validation loss is at most this many times the seed's best."""
DECIMALS = 9
"""Decimal places to which differences in octaves are rounded."""


@dataclass(frozen=True)
class Shift:
    """Octaves from the reference to an arm: trimmed means over replicates in which both are known.

    Attributes:
        best: shift of the best learning rate; unknown for a run whose best rate is the lowest or
            highest tried, since the optimum may lie beyond.
        cliff: shift of the smallest rate above the best one at which a run diverges or does not
            learn.
        window: shift of the middle of the window of good learning rates.
        width: difference of the widths of these windows.
    """

    best: Interval
    cliff: Interval
    window: Interval
    width: Interval


def shift(reference: pd.DataFrame, other: pd.DataFrame) -> Shift:
    """Compare the landmarks of two arms.

    Args:
        reference, other: runs with columns `split`, `seed`, `optimizer.lr`, `score` (validation
            loss, infinite if a run did not finish) and `not_learned`.
    """
    left, right = (
        {key: _landmarks(points) for key, points in _by_key(runs).items()}
        for runs in (reference, other)
    )
    paired = ((key, left[key], right[key]) for key in left if key in right)
    both = [(key, a, b) for key, a, b in paired if a is not None and b is not None]
    members = replicates([key for key, _, _ in both])
    # Octaves that a law makes equal may differ in the last bit of a logarithm.
    moved = np.array([np.subtract(b, a) for _, a, b in both]).reshape(-1, 4).round(DECIMALS)
    return Shift(*(interval(replicate_means(column, members)) for column in moved.T))


def _by_key(runs: pd.DataFrame) -> dict[RunKey, dict[float, tuple[float, bool]]]:
    """Score and `not_learned` by learning rate, for each split and seed. If a point occurs twice,
    as in a folder of single runs, the later one counts."""
    points: dict[RunKey, dict[float, tuple[float, bool]]] = {}
    columns = (runs[name].tolist() for name in ("optimizer.lr", "score", "not_learned"))
    for key, lr, *point in zip(run_keys(runs), *columns, strict=True):
        points.setdefault(key, {})[lr] = (point[0], point[1])
    return points


def _landmarks(
    points: dict[float, tuple[float, bool]],
) -> tuple[float, float, float, float] | None:
    """Octaves of one seed's best rate and cliff, and middle and width of its window; NaN for values
    beyond the learning rates tried; None if no run is usable."""
    rates = sorted(points)
    octaves = np.log2(np.array(rates, dtype=np.float64))
    scores = np.array([points[rate][0] for rate in rates], dtype=np.float64)
    not_learned = np.array([points[rate][1] for rate in rates], dtype=bool)
    if not np.isfinite(scores).any():
        return None
    lowest = int(scores.argmin())
    lost = ~np.isfinite(scores) | not_learned
    beyond = octaves[lost & (octaves > octaves[lowest])]
    cliff = float(beyond[0]) if len(beyond) else math.nan
    low, high = good_window(octaves, scores)
    inside = 0 < lowest < len(octaves) - 1
    best = best_octave(octaves, scores) if inside else math.nan
    return best, cliff, (low + high) / 2, high - low


def best_octave(octaves: RealArray, scores: RealArray) -> float:
    """Minimum of the parabola through the log scores of the lowest score and its two neighbours;
    the octave of the lowest score if a neighbour is missing or infinite.

    Args:
        octaves: log₂ of learning rates, ascending, `[n]`.
        scores: positive or infinite, `[n]`; at least one is finite.
    """
    at = int(scores.argmin())
    if at in (0, len(scores) - 1) or not (scores[at - 1 : at + 2] > 0).all():
        return float(octaves[at])
    if not np.isfinite(scores[at - 1 : at + 2]).all():
        return float(octaves[at])
    x, y = octaves[at - 1 : at + 2] - octaves[at], np.log(scores[at - 1 : at + 2])
    curvature, slope = np.polyfit(x, y - y[1], 2)[:2]
    if curvature <= 0:
        return float(octaves[at])
    return float(octaves[at] + np.clip(-slope / (2 * curvature), x[0] / 2, x[2] / 2))


def good_window(octaves: RealArray, scores: RealArray) -> tuple[float, float]:
    """Ends of the interval around the lowest score in which scores are at most `GOOD` times it,
    interpolated in log score; NaN for an end beyond the octaves tried."""
    at = int(scores.argmin())
    # The logarithm of a loss of 0 is −∞: no other rate is then good.
    with np.errstate(divide="ignore", invalid="ignore"):
        logs, limit = np.log(scores), np.log(GOOD * scores.min())
    ends = []
    for step in (-1, 1):
        end = at
        while 0 <= end + step < len(scores) and logs[end + step] <= limit:
            end += step
        outside = end + step
        if not 0 <= outside < len(scores):
            ends.append(math.nan)
        elif not np.isfinite(logs[outside]) or not np.isfinite(logs[end]):
            ends.append(float(octaves[end]))
        else:
            share = (limit - logs[end]) / (logs[outside] - logs[end])
            ends.append(float(octaves[end] + share * (octaves[outside] - octaves[end])))
    return ends[0], ends[1]
