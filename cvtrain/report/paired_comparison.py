"""Two ways of doing one thing, each at the learning rate that the tuning seeds chose for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from cvtrain.analysis.best_lr import ACCURACY, Tuned, judged_runs, scored_runs, tuned
from cvtrain.analysis.difference import (
    DISCOVERY_RATE,
    Difference,
    adjusted_p,
    paired_difference,
)
from cvtrain.analysis.equivalence import SEEDS_NEEDED, difference_p
from cvtrain.analysis.load import Sweep
from cvtrain.report.document import Column, Record, Table, words
from cvtrain.report.narrative import rate_text


@dataclass(frozen=True, eq=False)
class PairedComparison:
    """One way against another on one task with one optimizer.

    Attributes:
        task, optimizer: what was trained.
        names: of the two ways.
        metric: `tuned.ACCURACY` or `tuned.DECIBELS`.
        sides: the two, each at its own learning rate.
        difference: of the metric, the second less the first, paired by held-out seed.
        p_value: of Student's paired test of no difference; NaN for fewer than two pairs.
    """

    task: str
    optimizer: str
    names: tuple[str, str]
    metric: str
    sides: tuple[Tuned, Tuned]
    difference: Difference
    p_value: float

    @property
    def octaves(self) -> float:
        """From the first one's best learning rate to the second one's."""
        first, second = (side.best_lr for side in self.sides)
        return math.nan if first is None or second is None else math.log2(second / first)

    @property
    def outcome(self) -> str:
        """In a few words, which is better, and by how much."""
        better = (self.difference.mean > 0) == (self.metric == ACCURACY)
        return (
            f"{self.task}, {self.optimizer}: {self.names[1] if better else self.names[0]} better"
            f" by {abs(self.difference.mean):.2g} {self.metric.split(', ')[1]}"
        )


def paired_comparisons(
    sweep: Sweep, names: tuple[str, str], side: Callable[[pd.DataFrame], pd.Series]
) -> list[PairedComparison]:
    """Every task (`variant`) and optimizer of which runs have begun.

    Args:
        sweep: whose runs contend.
        names: of the two ways.
        side: tells for each run which of `names` it is of; those that are of neither are left out.
    """
    runs = scored_runs(sweep)
    runs = runs.assign(side=side(runs))
    grouped = runs.groupby(["variant", "optimizer._target_"], sort=False)
    return [_contest(str(task), str(target), names, rows) for (task, target), rows in grouped]


def _contest(
    task: str, target: str, names: tuple[str, str], rows: pd.DataFrame
) -> PairedComparison:
    runs, metric = judged_runs(rows)
    first, second = (tuned(runs[runs["side"] == name]) for name in names)
    difference = paired_difference(first.best, second.best, "metric")
    optimizer = target.rsplit(".", 1)[-1]
    p_value = difference_p(difference.values)
    return PairedComparison(task, optimizer, names, metric, (first, second), difference, p_value)


def differences_told(found: Sequence[PairedComparison]) -> list[str]:
    """How many differences show, and which; or that it takes more seeds."""
    p_values = adjusted_p([each.difference for each in found])
    tested = sum(not math.isnan(p) for p in p_values)
    if tested:
        differ = [each for each, p in zip(found, p_values, strict=True) if p <= DISCOVERY_RATE]
        return [
            f"{len(differ)} of {tested} differences show at a false discovery rate of"
            f" {DISCOVERY_RATE:.0%}{': ' if differ else ''}"
            f"{'; '.join(each.outcome for each in differ)}."
        ]
    return [f"Differences cannot be told: it takes {SEEDS_NEEDED} held-out seeds."] if found else []


def contest_table(found: Sequence[PairedComparison], name: str, title: str) -> Table:
    """Learning rates, means and differences of every contest; all are between the same two."""
    if not found:
        return Table(name, title, (words("task", "task"),), ())
    first, second = found[0].names
    records = []
    for each in found:
        record: dict[str, object] = {
            "task": each.task,
            "optimizer": each.optimizer,
            "metric": each.metric,
        }
        for called, side in zip(each.names, each.sides, strict=True):
            record[f"lr_{called}"] = side.best_lr
            record[f"lr_{called}_edge"] = side.edge
            record[called] = side.mean
            record[f"{called}_spread"] = side.spread
        record["difference"] = each.difference.mean
        record["low"], record["high"] = each.difference.low, each.difference.high
        record["pairs"], record["p_value"] = each.difference.pairs, each.p_value
        records.append(record)
    columns = (
        words("task", "task"),
        words("optimizer", "optimizer"),
        Column(f"lr {first}", lambda r: _rate(r, f"lr_{first}")),
        Column(f"lr {second}", lambda r: _rate(r, f"lr_{second}")),
        Column(first, lambda r: _mean(r, first)),
        Column(second, lambda r: _mean(r, second)),
        Column(f"{second} − {first}", _apart),
    )
    pairs = sorted({each.difference.pairs for each in found})
    caption = (
        "test accuracy in %, or test NMSE in dB in a regression; means ± standard deviations over"
        f" {' to '.join(map(str, sorted({*pairs[:1], *pairs[-1:]})))} held-out seeds; differences"
        " paired, with 95 % intervals; *: the best may lie beyond the learning rates tried"
    )
    return Table(name, title, columns, tuple(records), caption)


def _rate(record: Record, key: str) -> str:
    mark = "*" if record[f"{key}_edge"] else ""
    return "none" if record[key] is None else f"{rate_text(record[key])}{mark}"


def _mean(record: Record, key: str) -> str:
    return f"{record[key]:.2f} ± {record[f'{key}_spread']:.2f}".replace("-", "−")


def _apart(record: Record) -> str:
    text = f"{record['difference']:+.2f} [{record['low']:+.2f}, {record['high']:+.2f}]"
    return text.replace("-", "−")
