"""The metric by which a group of runs is compared, and the margin within which values are equal."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from cvtrain.analysis.load import missing
from cvtrain.training.convergence import DEFAULT_GOALS
from cvtrain.training.metrics import RISING

ACCURACY = "test/accuracy"
ACCURACY_MARGIN = 0.005
RELATIVE_MARGIN = 0.05
"""Defaults of `report.margin`: half a percentage point of accuracy, or this share of the
reference's mean."""


def metric_margin(rows: pd.DataFrame, metric: str, reference: float) -> float:
    """`report.margin`, or its default: absolute for accuracy, a share of the reference
    otherwise."""
    configured = setting(rows, "report.margin", None)
    if configured is not None:
        return float(configured)
    return ACCURACY_MARGIN if metric == ACCURACY else RELATIVE_MARGIN * reference


def setting(rows: pd.DataFrame, key: str, default: Any) -> Any:
    """The value of a configuration key that all runs of a group share, or the default."""
    value = rows[key].iloc[0] if key in rows and len(rows) else None
    return default if missing(value) else value


def wanted_metric(runs: pd.DataFrame) -> str | None:
    """The name of the metric that `report.metric` asks for, or None."""
    named = setting(runs, "report.metric", None)
    return None if named is None else str(named).rpartition("/")[2]


def is_rising(runs: pd.DataFrame, name: str) -> bool:
    """Whether larger values of a metric are better, by its definition or by the runs' record."""
    recorded = runs.get("rising", ())
    return name in RISING or any(name in names for names in recorded if isinstance(names, tuple))


def test_metric(runs: pd.DataFrame) -> str:
    """The tag of `report.metric`; without that key, of the first metric other than the loss that
    was recorded on the test split, or else of the loss."""
    measured = runs.columns[runs.notna().any()]
    wanted = f"test/{wanted_metric(runs)}"
    if wanted in measured:
        return wanted
    tags = [tag for tag in measured if tag.startswith("test/") and tag != "test/loss"]
    return tags[0] if tags else "test/loss"


def test_samples(runs: pd.DataFrame) -> int:
    """Number of samples in the smallest test split of these runs; 0 if unknown."""
    made = [one for one in runs.get("made_with", ()) if isinstance(one, tuple)]
    sizes = (dict(dict(one).get("samples", ())) for one in made)
    return min((int(size["test"]) for size in sizes if "test" in size), default=0)


def goal(runs: pd.DataFrame, metric: str) -> str:
    """The goal that "steps to target" refers to, e.g. ``accuracy 0.95``."""
    usual = dict(DEFAULT_GOALS.values())
    name, value = runs["goal.metric"].iloc[0], runs["goal.value"].iloc[0]
    name = metric.removeprefix("test/") if pd.isna(name) else str(name).removeprefix("val/")
    value = usual.get(name, math.nan) if pd.isna(value) else value
    return "a goal (none is set)" if math.isnan(value) else f"{name} {value:g}"
