"""Split against modulus, each at the learning rate that the tuning seeds chose for it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from cvtrain.report.difference import Difference, paired_difference
from cvtrain.report.equivalence import difference_p
from cvtrain.report.load import Sweep
from cvtrain.report.tuned import Tuned, judged_runs, scored_runs, tuned

SEMANTICS = ("split", "modulus")


@dataclass(frozen=True, eq=False)
class Contest:
    """Split against modulus on one task with one optimizer.

    Attributes:
        task, optimizer: what was trained.
        metric: `tuned.ACCURACY` or `tuned.DECIBELS`.
        sides: split and modulus, each at its own learning rate.
        difference: of the metric, modulus less split, paired by held-out seed.
        p_value: of Student's paired test of no difference; NaN for fewer than two pairs.
    """

    task: str
    optimizer: str
    metric: str
    sides: tuple[Tuned, Tuned]
    difference: Difference
    p_value: float

    @property
    def octaves(self) -> float:
        """From split's best learning rate to modulus's."""
        split, modulus = (side.best_lr for side in self.sides)
        return math.nan if split is None or modulus is None else math.log2(modulus / split)


def contests(sweep: Sweep) -> list[Contest]:
    """Every task and optimizer of which runs have begun."""
    grouped = scored_runs(sweep).groupby(["variant", "optimizer._target_"], sort=False)
    return [_contest(str(task), str(target), rows) for (task, target), rows in grouped]


def _contest(task: str, target: str, rows: pd.DataFrame) -> Contest:
    runs, metric = judged_runs(rows)
    split, modulus = (tuned(runs[runs["optimizer.semantics"] == each]) for each in SEMANTICS)
    difference = paired_difference(split.best, modulus.best, "metric")
    optimizer = target.rsplit(".", 1)[-1]
    p_value = difference_p(difference.values)
    return Contest(task, optimizer, metric, (split, modulus), difference, p_value)
