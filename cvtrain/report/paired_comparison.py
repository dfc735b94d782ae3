"""Comparison of two methods, each at the learning rate that the tuning seeds chose for it:
statistics, table and figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from cvtrain.analysis.best_lr import ACCURACY, Tuned, judged_runs, scored_runs, tuned
from cvtrain.analysis.difference import (
    DISCOVERY_RATE,
    SEEDS_NEEDED,
    Difference,
    adjusted_p,
    paired_difference,
    student_p,
)
from cvtrain.analysis.load import Sweep
from cvtrain.report.cells import (
    difference_fields,
    interval,
    learning_rate,
    mean_and_spread,
    words,
)
from cvtrain.report.document import Picture, Table
from cvtrain.report.figures.metric_panels import CURVES, MetricCurve, metric_panels
from cvtrain.report.figures.panels import Panels


@dataclass(frozen=True, eq=False)
class PairedComparison:
    """Two methods compared on one task with one optimizer.

    Attributes:
        task, optimizer: what was trained.
        names: names of the two methods.
        metric: `best_lr.ACCURACY` or `best_lr.DECIBELS`.
        sides: runs of each method, tuned to its own learning rate.
        difference: difference of the metric, second minus first, paired by held-out split and seed.
        p_value: p-value of Student's paired test of no difference; NaN for fewer than two pairs.
    """

    task: str
    optimizer: str
    names: tuple[str, str]
    metric: str
    sides: tuple[Tuned, Tuned]
    difference: Difference
    p_value: float

    @property
    def unit(self) -> str:
        """The replicate in words: ``data split`` or ``seed``."""
        return self.sides[0].unit

    @property
    def octaves(self) -> float:
        """Octaves from the first method's best learning rate to the second's; NaN without both."""
        first, second = (side.best_lr for side in self.sides)
        return math.nan if first is None or second is None else math.log2(second / first)

    @property
    def outcome(self) -> str:
        """Which of the two is better, and by how much, in a few words."""
        better = (self.difference.mean > 0) == (self.metric == ACCURACY)
        return (
            f"{self.task}, {self.optimizer}: {self.names[1] if better else self.names[0]} better"
            f" by {abs(self.difference.mean):.2g} {self.metric.split(', ')[1]}"
        )


def paired_comparisons(
    sweep: Sweep, names: tuple[str, str], side: Callable[[pd.DataFrame], pd.Series]
) -> list[PairedComparison]:
    """Compare two methods on every task (`variant`) and optimizer with runs that have begun.

    Args:
        sweep: the runs.
        names: names of the two methods.
        side: function that maps the runs to the names of their methods; runs with any other value
            are left out.
    """
    runs = scored_runs(sweep)
    runs = runs.assign(side=side(runs))
    grouped = runs.groupby(["variant", "optimizer._target_"], sort=False)
    return [_compare(str(task), str(target), names, rows) for (task, target), rows in grouped]


def _compare(
    task: str, target: str, names: tuple[str, str], rows: pd.DataFrame
) -> PairedComparison:
    runs, metric = judged_runs(rows)
    first, second = (tuned(runs[runs["side"] == name]) for name in names)
    difference = paired_difference(first.best, second.best, "metric")
    optimizer = target.rsplit(".", 1)[-1]
    p_value = student_p(difference.values)
    return PairedComparison(task, optimizer, names, metric, (first, second), difference, p_value)


NO_CONTROL = (
    "There is no jitter control: how far apart two equal ways would end, each at a learning rate"
    " that few {unit}s chose, is not measured."
)


def significant_differences(comparisons: Sequence[PairedComparison]) -> list[str]:
    """Sentences on how many differences are significant, and which, or on how many seeds are
    missing.

    Returns:
        one such sentence, and one on what remains unknown without a jitter control; none without
        comparisons.
    """
    if not comparisons:
        return []
    unit = comparisons[0].unit
    without = NO_CONTROL.format(unit=unit)
    p_values = adjusted_p([one.difference for one in comparisons])
    tested = sum(not math.isnan(p) for p in p_values)
    if not tested:
        needed = f"Differences: inconclusive (it takes {SEEDS_NEEDED} held-out {unit}s)."
        return [needed, without]
    significant = [
        one.outcome for one, p in zip(comparisons, p_values, strict=True) if p < DISCOVERY_RATE
    ]
    return [
        f"{len(significant)} of {tested} differences are significant at a false discovery rate of"
        f" {DISCOVERY_RATE:.0%}{': ' if significant else ''}{'; '.join(significant)}.",
        without,
    ]


def comparison_table(comparisons: Sequence[PairedComparison], name: str, title: str) -> Table:
    """Learning rates, means and differences, one row per comparison; all compare the same two
    methods."""
    if not comparisons:
        return Table(name, title, (words("task", "task"),), ())
    first, second = comparisons[0].names
    records = []
    for one in comparisons:
        record: dict[str, object] = {
            "task": one.task,
            "optimizer": one.optimizer,
            "metric": one.metric,
        }
        for way, side in zip(one.names, one.sides, strict=True):
            record[f"lr_{way}"] = side.best_lr
            record[f"lr_{way}_edge"] = side.edge
            record[way] = side.mean
            record[f"{way}_spread"] = side.spread
        records.append(record | difference_fields(one.difference) | {"p_value": one.p_value})
    columns = (
        words("task", "task"),
        words("optimizer", "optimizer"),
        *(learning_rate(f"lr {way}", f"lr_{way}", f"lr_{way}_edge") for way in (first, second)),
        *(mean_and_spread(way, way, f"{way}_spread") for way in (first, second)),
        interval(f"{second} − {first}"),
    )
    counts = sorted({len(one.difference.values) for one in comparisons})
    caption = (
        "test accuracy in %, or test NMSE in dB in a regression; means ± standard deviations over"
        f" {' to '.join(map(str, sorted({*counts[:1], *counts[-1:]})))} held-out"
        f" {comparisons[0].unit}s; paired differences, with 95 % intervals over them; *: the"
        " smallest or largest learning rate tried"
    )
    return Table(name, title, columns, tuple(records), caption)


def comparison_curves(comparisons: Sequence[PairedComparison]) -> Panels:
    """One row of panels per task and one column per optimizer: the metric of held-out runs over the
    learning rate, with vertical lines at the chosen rates."""
    curves = [
        MetricCurve(one.task, one.optimizer, f"{one.task}: {one.optimizer}", name, one.metric, side)
        for one in comparisons
        for name, side in zip(one.names, one.sides, strict=True)
    ]
    return metric_panels(curves, mark_best=True)


def comparison_picture(comparisons: Sequence[PairedComparison], name: str) -> Picture:
    """`comparison_curves` as a picture, with the main observation in its caption."""
    known = [one for one in comparisons if not math.isnan(one.difference.mean)]
    seen = (
        "Farthest apart at their best learning rates are"
        f" {max(known, key=lambda one: abs(one.difference.mean)).outcome}."
        if known
        else "No pair of runs has a difference."
    )
    unit = comparisons[0].unit if comparisons else "seed"
    return Picture(
        name,
        f"Test metric of held-out {unit}s over the learning rate",
        comparison_curves(comparisons),
        f"{CURVES.format(unit=unit)}; vertical lines mark the best learning rates. {seen}",
    )
