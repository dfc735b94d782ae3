"""Comparison of two sweeps at the points that both have."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cvtrain.analysis.arms import label_runs
from cvtrain.analysis.best_lr import best_rate, with_scores
from cvtrain.analysis.difference import (
    DISCOVERY_RATE,
    SEEDS_NEEDED,
    Difference,
    adjusted_p,
    paired_difference,
)
from cvtrain.analysis.load import Sweep
from cvtrain.analysis.metric import test_metric
from cvtrain.report.cells import (
    Column,
    Record,
    difference_fields,
    learning_rate,
    number,
    words,
)
from cvtrain.report.document import Section, Sentence, Table
from cvtrain.report.narrative import difference_text, metric_text

SETTINGS = ("output", "plan", "on_error", "trusted_modules")
"""Keys of a configuration that do not affect results."""
TABLE = "changes"


MOST_SETTINGS = 4
"""Largest number of settings that are listed if whole sweeps differ in them."""


@dataclass(frozen=True, eq=False)
class Matched:
    """The points that two sweeps have in common.

    Attributes:
        first, second: runs of each sweep, one row per common point, in the same order and with the
            same labels; with columns `group`, `arm` and `score` (validation loss, infinite if the
            run did not finish).
        only: numbers of points that only the first, and only the second sweep has.
        settings: key, value in the first and value in the second sweep, for keys in which all
            points of one sweep differ from all points of the other. Points are matched without
            these keys.
        equal: for each common point, whether status and numbers of its two runs are equal, bit for
            bit.
    """

    first: pd.DataFrame
    second: pd.DataFrame
    only: tuple[int, int]
    settings: tuple[tuple[str, Any, Any], ...]
    equal: pd.Series[bool]


def match(first: Sweep, second: Sweep) -> Matched:
    """Pair the runs of two sweeps that have the same configuration."""
    begun = [sweep.runs[sweep.runs["status"] != "missing"] for sweep in (first, second)]
    keys = list(dict.fromkeys((*first.config_keys, *second.config_keys)))
    keys = [key for key in keys if key not in SETTINGS]
    settings = []
    for key in keys:
        one, two = (_texts(runs, key).unique() for runs in begun)
        if len(one) == len(two) == 1 and one[0] != two[0]:
            settings.append((key, one[0], two[0]))
    differing = {key for key, _, _ in settings}
    points = [_points(runs, [key for key in keys if key not in differing]) for runs in begun]
    common = [point for point in points[0] if point in points[1]]
    rows = [
        runs.loc[[labels[point] for point in common]].reset_index(drop=True)
        for runs, labels in zip(begun, points, strict=True)
    ]
    labelled = label_runs(rows[0], first.config_keys) if common else rows[0]
    rows[0] = labelled
    if common:
        rows[1] = rows[1].assign(group=labelled["group"], arm=labelled["arm"])
    rows = [with_scores(runs) for runs in rows]
    only = (len(points[0]) - len(common), len(points[1]) - len(common))
    return Matched(rows[0], rows[1], only, tuple(settings), _equal(rows[0], rows[1], keys))


def change_section(first: Sweep, second: Sweep, names: tuple[str, str]) -> Section:
    """What changed from one sweep to the other, arm by arm.

    Args:
        first, second: the sweeps.
        names: names of the sweeps in sentences.
    """
    matched = match(first, second)
    sentences = [_overview(matched, names)]
    if matched.first.empty:
        return Section("What changed", (Sentence(" ".join(sentences)),))
    compared = _arms(matched)
    p_values = adjusted_p([difference for _, difference in compared])
    tested = sum(not math.isnan(p) for p in p_values)
    if tested:
        changed = [
            f"{record['group']}, {record['arm']}"
            for (record, _), p in zip(compared, p_values, strict=True)
            if p < DISCOVERY_RATE
        ]
        sentences.append(
            f"At best learning rates the test metric of {len(changed)} of {tested} arms changed, at"
            f" a false discovery rate of {DISCOVERY_RATE:.0%}{': ' if changed else ''}"
            f"{'; '.join(changed)}."
        )
    elif not matched.equal.all():
        sentences.append(
            "Whether the test metric changed at best learning rates: inconclusive (it takes"
            f" {SEEDS_NEEDED} seeds)."
        )
    sentence = Sentence(" ".join(sentences), (TABLE,))
    return Section("What changed", (sentence,), (_table(compared, names),))


def _overview(matched: Matched, names: tuple[str, str]) -> str:
    total = len(matched.first)
    if not total:
        return f"No point is in both {names[0]} and {names[1]}."
    clauses = [f"{total} point{'s are' if total > 1 else ' is'} in both {names[0]} and {names[1]}"]
    clauses += [
        f"{count} only in {name}" for count, name in zip(matched.only, names, strict=True) if count
    ]
    clauses += [
        f"{key} is {one or 'absent'} in {names[0]} and {two or 'absent'} in {names[1]}"
        for key, one, two in matched.settings[:MOST_SETTINGS]
    ]
    further = len(matched.settings) - MOST_SETTINGS
    if further > 0:
        clauses.append(f"{further} more setting{'s' if further > 1 else ''} differ")
    clauses.append(f"{int(matched.equal.sum())} of the common ones ended with equal bits")
    moved = int((matched.first["status"] != matched.second["status"]).sum())
    clauses.append(f"{moved} have another status" if moved else "all have the same status")
    return "; ".join(clauses) + "."


def _arms(matched: Matched) -> list[tuple[Record, Difference]]:
    """One record per arm, and the difference of the test metric with each sweep at its best
    rate."""
    compared: list[tuple[Record, Difference]] = []
    for (group, arm), one in matched.first.groupby(["group", "arm"], sort=False):
        sides = one, matched.second.loc[one.index]
        metric = test_metric(one)
        rates = [best_rate(rows) for rows in sides]
        best = [rows[rows["optimizer.lr"] == lr] for rows, lr in zip(sides, rates, strict=True)]
        if not all(metric in rows for rows in sides):
            best = [rows.iloc[:0].assign(**{metric: math.nan}) for rows in best]
        difference = paired_difference(best[0], best[1], metric)
        record = {
            "group": group,
            "arm": arm,
            "metric": metric,
            "points": len(one),
            "equal": int(matched.equal[one.index].sum()),
            "moved": int((one["status"] != sides[1]["status"]).sum()),
            "lr_first": rates[0],
            "lr_second": rates[1],
            "mean_first": float(best[0][metric].mean()),
            "mean_second": float(best[1][metric].mean()),
            **difference_fields(difference),
            "identical": difference.identical,
        }
        compared.append((record, difference))
    return compared


def _table(compared: Sequence[tuple[Record, Difference]], names: tuple[str, str]) -> Table:
    differences = {(record["group"], record["arm"]): one for record, one in compared}

    def mean(name: str, key: str) -> Column:
        heading = f"test metric, {name}"
        return Column(heading, lambda record: metric_text(record[key], record["metric"]))

    columns = (
        words("group", "group"),
        words("arm", "arm"),
        number("points", "points", "d"),
        number("equal bits", "equal", "d"),
        number("other status", "moved", "d"),
        learning_rate(f"best lr, {names[0]}", "lr_first"),
        learning_rate(f"best lr, {names[1]}", "lr_second"),
        mean(names[0], "mean_first"),
        mean(names[1], "mean_second"),
        Column(
            "difference",
            lambda r: difference_text(differences[r["group"], r["arm"]], r["metric"]),
        ),
    )
    caption = (
        f"test metric of each at its own best learning rate; difference: {names[1]} − {names[0]},"
        " paired by seed, 95 % interval (Student), percentage points where it is an accuracy"
    )
    title = f"{names[0]} → {names[1]}: the points that both have"
    records = tuple(record for record, _ in compared)
    return Table(TABLE, title, columns, records, caption, numbered=True)


def _texts(runs: pd.DataFrame, key: str) -> pd.Series[str]:
    if key not in runs:
        return pd.Series("", index=runs.index)
    return runs[key].map(_text)


def _text(value: Any) -> str:
    # In a column with missing values a table holds whole numbers as floats, and None as NaN.
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "none"
    return str(value).removesuffix(".0")


def _points(runs: pd.DataFrame, keys: Sequence[str]) -> dict[tuple[str, ...], Hashable]:
    """Labels of rows by configuration; of a point that was run twice, the later one."""
    texts = zip(*(_texts(runs, key) for key in keys), strict=True)
    return dict(zip(texts, runs.index, strict=True))


def _equal(first: pd.DataFrame, second: pd.DataFrame, keys: Sequence[str]) -> pd.Series[bool]:
    own = {*keys, *SETTINGS, "score"}
    tags = [tag for tag in first if "/" in str(tag) and tag in second and tag not in own]
    same = first["status"] == second["status"]
    for tag in tags:
        one, two = first[tag].to_numpy(dtype=float), second[tag].to_numpy(dtype=float)
        same &= (one == two) | (np.isnan(one) & np.isnan(two))
    return same
