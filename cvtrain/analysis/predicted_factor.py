"""The factor of a learning rate as the gradient's complex share predicts it, beside the measured.

The share is that of the reference (`signals.complex_share`), along its runs at the learning rates
at which curves are registered on each other. The prediction has no free parameter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cvtrain.analysis.arms import CONTROL
from cvtrain.analysis.curves import near_best
from cvtrain.analysis.load import Sweep
from cvtrain.analysis.registration import register
from cvtrain.analysis.scores import Arm, Comparison, Group
from cvtrain.analysis.statistics import Interval
from cvtrain.theory import factor_octaves
from cvtrain.training.complex_share import TAG

VALIDATION = "val/loss"
WEIGHTS = ("steps", "loss", "log loss")
"""What the average over a training may be weighted by: updates, or the fall of the validation loss
or of its logarithm between two measurements."""


@dataclass(frozen=True)
class PredictedFactor:
    """A group's arm whose complex gradients are scaled.

    Attributes:
        group, arm: names.
        share: mean of the complex share along the reference's training, over its runs.
        predicted: octaves, by what the average over a training is weighted by (`WEIGHTS`).
        measured: octaves by registration, over seeds or splits; unknown where `reason` says why.
        runs: of the reference in which the share was measured.
        reason: why nothing was measured, else None.
    """

    group: str
    arm: str
    share: float
    predicted: Mapping[str, float]
    measured: Interval
    runs: int
    reason: str | None

    @property
    def error(self) -> float:
        """Predicted (weighted by updates) less measured octaves; NaN where not measured."""
        return self.predicted["steps"] - self.measured.mean


def predicted_factors(sweep: Sweep, comparison: Comparison) -> Iterator[PredictedFactor]:
    """Every arm that scales complex gradients alone, in the groups whose reference has the signal
    ``grad/complex_share`` at learning rates that are compared."""
    if TAG not in comparison.runs:
        return
    for group in comparison.groups:
        base = group.base
        if base is None or group.varied or not base.grid.present.any():
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
    """Steps, shares and validation losses of the finished runs at the rates near the best one, or
    at all below it where none is as near."""
    near = near_best(base.grid)
    if not near.any():
        near = base.grid.rates <= (base.grid.best_rate or math.inf)
    chosen = rows[rows["optimizer.lr"].isin(base.grid.rates[near]) & (rows["status"] == "finished")]
    tables = sweep.signals(lambda tag: tag in (TAG, VALIDATION), chosen)
    measured = (table.dropna() for table in tables.values() if TAG in table)
    return [table for table in measured if len(table) > 1]


def _complex_factor(runs: pd.DataFrame, group: Group, arm: Arm) -> float | None:
    """What the arm multiplies complex gradients by; None if it is no scaling of these alone."""
    own = runs[(runs["group"] == group.name) & (runs["arm"] == arm.name)].iloc[0]
    alone = own["objective.scale"] == 1 and own["convention.scale"] != 1
    return float(own["convention.scale"]) if alone and arm.name != CONTROL else None


def _predicted(
    group: Group, base: Arm, arm: Arm, factor: float, tables: list[pd.DataFrame]
) -> PredictedFactor:
    octaves: dict[str, float] = {}
    for weight in WEIGHTS:
        known = [_octaves(table, weight, factor) for table in tables]
        octaves[weight] = float(np.nanmean(known)) if not np.isnan(known).all() else math.nan
    control = group.arm(CONTROL)
    second = None if control is None else control.grid
    registered = register(base.grid, arm.grid, group.margin_loss, group.untrained, second)
    shares = [np.trapezoid(t[TAG], t["step"]) / np.ptp(t["step"]) for t in tables]
    return PredictedFactor(
        group.name,
        arm.name,
        float(np.mean(shares)),
        octaves,
        registered.shift,
        len(tables),
        registered.reason,
    )


def _octaves(table: pd.DataFrame, weight: str, factor: float) -> float:
    """Octaves of one run; NaN where what is to weigh the average never falls."""
    times = table["step"].to_numpy(float)
    shares = np.clip(table[TAG].to_numpy(), 0, 1)
    if weight != "steps":
        losses = table[VALIDATION].to_numpy()
        fallen = -np.log(losses) if weight == "log loss" else -losses
        lower = fallen > np.concatenate(([-np.inf], np.maximum.accumulate(fallen)[:-1]))
        times, shares = fallen[lower], shares[lower]
        if len(times) < 2:
            return math.nan
    return factor_octaves(shares, times, gradient_factor=factor)
