"""The factor on the learning rate that the gradient's complex share predicts, and the measured one.

The share is measured along the reference's runs (`signals.complex_share`) at the learning rates at
which curves are registered. The average over a training is weighted by the fall of the loss, so
that the end of a training, where the gradient is mostly noise of the batches, counts little. This
weight was chosen after comparing three of them with measurements (`+experiment=lr_factor` shows all
three). No other number is fitted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cvtrain.analysis.arms import CONTROL
from cvtrain.analysis.comparison import Arm, Comparison, Group
from cvtrain.analysis.curves import near_best
from cvtrain.analysis.load import Sweep
from cvtrain.analysis.registration import register
from cvtrain.analysis.statistics import Interval, RealArray
from cvtrain.theory import factor_octaves
from cvtrain.training.complex_share import TAG

VALIDATION = "val/loss"
WEIGHTS = ("loss", "log loss", "updates")
"""Weights of the average over a training: the fall of the validation loss, the fall of its
logarithm, or the number of updates between two measurements. The first is the prediction."""


@dataclass(frozen=True)
class PredictedFactor:
    """Predicted and measured factor of an arm that scales the gradients of complex parameters.

    Attributes:
        group, arm: names.
        share: complex share averaged along the reference's training, weighted by the fall of the
            loss; mean over its runs.
        by_weight: predicted octaves for each weight of the average.
        measured: octaves measured by registration, over seeds or splits; unknown if `reason` is
            set.
        runs: number of runs of the reference in which the share was measured.
        reason: why nothing was measured, else None.
    """

    group: str
    arm: str
    share: float
    by_weight: Mapping[str, float]
    measured: Interval
    runs: int
    reason: str | None

    @property
    def predicted(self) -> float:
        """Predicted octaves with the weight that the prediction uses."""
        return self.by_weight[WEIGHTS[0]]

    @property
    def error(self) -> float:
        """Predicted minus measured octaves; NaN if not measured."""
        return self.predicted - self.measured.mean


def predicted_factors(sweep: Sweep, comparison: Comparison) -> Iterator[PredictedFactor]:
    """Every arm that scales only complex gradients, in groups whose reference has the signal
    ``grad/complex_share`` at the compared learning rates."""
    if TAG not in comparison.runs:
        return
    for group in comparison.groups:
        base = group.base
        if base is None or group.varied:
            continue
        rows = comparison.runs
        rows = rows[(rows["group"] == group.name) & (rows["arm"] == base.name)]
        tables = _measured_along(sweep, rows, base)
        if not tables:
            continue
        for arm in group.arms:
            factor = _complex_factor(comparison.runs, group, arm)
            if factor is not None:
                yield _predicted(group, base, arm, factor, tables)


def _measured_along(sweep: Sweep, rows: pd.DataFrame, base: Arm) -> list[pd.DataFrame]:
    """Steps, shares and validation losses of `runs_near_best`."""
    chosen = runs_near_best(rows, base)
    tables = sweep.signals(lambda tag: tag in (TAG, VALIDATION), chosen)
    measured = (table.dropna() for table in tables.values() if TAG in table)
    return [table for table in measured if len(table) > 1]


def runs_near_best(rows: pd.DataFrame, base: Arm) -> pd.DataFrame:
    """The finished runs of an arm at the rates near its best one, at which curves are registered;
    if there are no such rates, at all rates up to the best one."""
    if not base.grid.present.any():
        return rows.iloc[:0]
    near = near_best(base.grid)
    if not near.any():
        near = base.grid.rates <= (base.grid.best_rate or math.inf)
    chosen = rows["optimizer.lr"].isin(base.grid.rates[near])
    return rows[chosen & (rows["status"] == "finished")]


def _complex_factor(runs: pd.DataFrame, group: Group, arm: Arm) -> float | None:
    """The arm's factor on complex gradients; None if the arm changes anything else."""
    own = runs[(runs["group"] == group.name) & (runs["arm"] == arm.name)].iloc[0]
    alone = own["objective.scale"] == 1 and own["convention.scale"] != 1
    return float(own["convention.scale"]) if alone and arm.name != CONTROL else None


def _predicted(
    group: Group, base: Arm, arm: Arm, factor: float, tables: list[pd.DataFrame]
) -> PredictedFactor:
    along = {w: [_along(table, w) for table in tables] for w in WEIGHTS}
    octaves = {
        weight: _mean(factor_octaves(s, t, gradient_factor=factor) for t, s in runs if len(t) > 1)
        for weight, runs in along.items()
    }
    share = _mean(float(np.trapezoid(s, t) / np.ptp(t)) for t, s in along[WEIGHTS[0]] if len(t) > 1)
    control = group.arm(CONTROL)
    second = None if control is None else control.grid
    registered = register(base.grid, arm.grid, group.margin_loss, group.untrained, second)
    return PredictedFactor(
        group.name,
        arm.name,
        share,
        octaves,
        registered.shift,
        len(tables),
        registered.reason,
    )


def _along(table: pd.DataFrame, weight: str) -> tuple[RealArray, RealArray]:
    """Values of the weighting quantity, ascending, and the shares at these measurements. If the
    weight is a fall of the loss, measurements without a new lowest loss are left out."""
    steps, shares = table["step"].to_numpy(float), np.clip(table[TAG].to_numpy(float), 0, 1)
    if weight == "updates":
        return steps, shares
    losses = table[VALIDATION].to_numpy(float)
    fallen = -np.log(losses) if weight == "log loss" else -losses
    lower = fallen > np.concatenate(([-np.inf], np.maximum.accumulate(fallen)[:-1]))
    return fallen[lower], shares[lower]


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return float(np.mean(known)) if known else math.nan
