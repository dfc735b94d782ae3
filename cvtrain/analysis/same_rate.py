"""An arm and the reference at the same learning rate: what not retuning costs at each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from cvtrain.analysis.difference import Difference, paired_difference, trimmed


@dataclass(frozen=True)
class SameRate:
    """An arm against the reference at one learning rate, the same for both.

    Attributes:
        lr: the learning rate.
        difference: of the test metric, trimmed.
        steps, reference_steps: medians of the steps to the goal; infinite where most never arrive.
    """

    lr: float
    difference: Difference
    steps: float
    reference_steps: float


def same_rates(reference: pd.DataFrame, own: pd.DataFrame, metric: str) -> Iterator[SameRate]:
    """Compare runs of an arm with those of the reference at each learning rate that both have."""
    reference_rates = set(reference["optimizer.lr"])
    for lr, rows in own.groupby("optimizer.lr"):
        if lr in reference_rates:
            reference_rows = reference[reference["optimizer.lr"] == lr]
            yield SameRate(
                float(lr),  # type: ignore[arg-type]  # pandas types the keys of groups too widely
                trimmed(paired_difference(reference_rows, rows, metric)),
                float(rows["convergence/steps_to_target"].median()),
                float(reference_rows["convergence/steps_to_target"].median()),
            )
