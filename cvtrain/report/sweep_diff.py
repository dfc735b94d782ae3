"""Two sweeps side by side: what changed at the points that both have."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cvtrain.analysis.arms import label_runs
from cvtrain.analysis.difference import DISCOVERY_RATE, Difference, adjusted_p, paired_difference
from cvtrain.analysis.equivalence import SEEDS_NEEDED
from cvtrain.analysis.load import Sweep
from cvtrain.analysis.scores import ACCURACY, SCORE, best_rate, test_metric
from cvtrain.report.document import Column, Record, Section, Sentence, Table, number, words
from cvtrain.report.narrative import bare_interval, rate_text

SETTINGS = ("output", "plan", "on_error", "trusted_modules")
"""Keys of a configuration that no number depends on."""
TABLE = "changes"


@dataclass(frozen=True, eq=False)
class Matched:
    """The points that two sweeps have in common.

    Attributes:
        first, second: runs of either, one row per common point, in the same order and with the same
            labels; with `group`, `arm` and `score` (the validation loss, infinite where the run did
            not finish).
        only: how many points only the first, and only the second has.
        settings: key, value in the first, value in the second, of what all points of one sweep have
            otherwise than all of the other; points are matched in spite of them.
        equal: per common point, whether its run ended alike and with the same numbers, bit for bit.
    """

    first: pd.DataFrame
    second: pd.DataFrame
    only: tuple[int, int]
    settings: tuple[tuple[str, Any, Any], ...]
    equal: pd.Series[bool]


def match(first: Sweep, second: Sweep) -> Matched:
    """Pair the runs of two sweeps by their configurations."""
    begun = [sweep.runs[sweep.runs["status"] != "missing"] for sweep in (first, second)]
    keys = list(dict.fromkeys((*first.config_keys, *second.config_keys)))
    keys = [key for key in keys if key not in SETTINGS]
    settings = []
    for key in keys:
        values = [_texts(runs, key).unique() for runs in begun]
        if [len(each) for each in values] == [1, 1] and values[0][0] != values[1][0]:
            settings.append((key, values[0][0], values[1][0]))
    told = {key for key, _, _ in settings}
    points = [_points(runs, [key for key in keys if key not in told]) for runs in begun]
    common = [point for point in points[0] if point in points[1]]
    rows = [
        runs.loc[[where[point] for point in common]].reset_index(drop=True)
        for runs, where in zip(begun, points, strict=True)
    ]
    labelled = label_runs(rows[0], first.config_keys) if common else rows[0]
    rows[0] = labelled
    if common:
        rows[1] = rows[1].assign(group=labelled["group"], arm=labelled["arm"])
    for place, runs in enumerate(rows):
        loss = runs[SCORE] if SCORE in runs else pd.Series(math.inf, index=runs.index)
        score = loss.where(runs["status"] == "finished", math.inf).fillna(math.inf)
        rows[place] = runs.assign(score=score)
    only = (len(points[0]) - len(common), len(points[1]) - len(common))
    return Matched(rows[0], rows[1], only, tuple(settings), _equal(rows[0], rows[1], keys))


def change_section(first: Sweep, second: Sweep, names: tuple[str, str]) -> Section:
    """What changed from one sweep to the other, arm by arm.

    Args:
        first, second: the sweeps.
        names: what they are called.
    """
    matched = match(first, second)
    told = [_overview(matched, names)]
    if matched.first.empty:
        return Section("What changed", (Sentence(" ".join(told)),))
    compared = list(_arms(matched))
    p_values = adjusted_p([difference for _, difference in compared])
    tested = sum(not math.isnan(p) for p in p_values)
    if tested:
        real = [
            f"{record['group']}, {record['arm']}"
            for (record, _), p in zip(compared, p_values, strict=True)
            if p <= DISCOVERY_RATE
        ]
        told.append(
            f"{len(real)} of {tested} arms come out otherwise at their best learning rates, at"
            f" a false discovery rate of {DISCOVERY_RATE:.0%}{': ' if real else ''}"
            f"{'; '.join(real)}."
        )
    elif not matched.equal.all():
        told.append(
            "Whether arms come out otherwise at their best learning rates cannot be told: it takes"
            f" {SEEDS_NEEDED} seeds."
        )
    return Section(
        "What changed", (Sentence(" ".join(told), (TABLE,)),), (_table(compared, names),)
    )


def _overview(matched: Matched, names: tuple[str, str]) -> str:
    total = len(matched.first)
    if not total:
        return f"No point is in both {names[0]} and {names[1]}."
    told = [f"{total} point{'s are' if total > 1 else ' is'} in both {names[0]} and {names[1]}"]
    told += [
        f"{count} only in {name}" for count, name in zip(matched.only, names, strict=True) if count
    ]
    told += [f"{key} is {one} there and {two} here" for key, one, two in matched.settings]
    told.append(f"{int(matched.equal.sum())} of the common ones ended with equal bits")
    moved = int((matched.first["status"] != matched.second["status"]).sum())
    told.append(f"{moved} ended in another way" if moved else "all ended in the same way")
    return "; ".join(told) + "."


def _arms(matched: Matched) -> Sequence[tuple[Record, Difference]]:
    found: list[tuple[Record, Difference]] = []
    for (group, arm), one in matched.first.groupby(["group", "arm"], sort=False):
        two = matched.second.loc[one.index]
        metric = test_metric(one)
        rates = best_rate(one), best_rate(two)
        there = [
            rows[rows["optimizer.lr"] == rate] for rows, rate in zip((one, two), rates, strict=True)
        ]
        if metric not in two or metric not in one:
            there = [rows.iloc[:0].assign(**{metric: math.nan}) for rows in there]
        difference = paired_difference(there[0], there[1], metric)
        record = {
            "group": group,
            "arm": arm,
            "metric": metric,
            "points": len(one),
            "equal": int(matched.equal[one.index].sum()),
            "moved": int((one["status"] != two["status"]).sum()),
            "lr_first": rates[0],
            "lr_second": rates[1],
            "mean_first": float(there[0][metric].mean()),
            "mean_second": float(there[1][metric].mean()),
            "difference": difference.mean,
            "low": difference.low,
            "high": difference.high,
            "pairs": difference.pairs,
            "identical": difference.identical,
        }
        found.append((record, difference))
    return found


def _table(compared: Sequence[tuple[Record, Difference]], names: tuple[str, str]) -> Table:
    differences = {(record["group"], record["arm"]): each for record, each in compared}

    def rate(record: Record, key: str) -> str:
        return "none" if record[key] is None else rate_text(record[key])

    def mean(record: Record, key: str) -> str:
        percent = record["metric"] == ACCURACY
        value = record[key]
        if math.isnan(value):
            return ""
        return f"{100 * value:.2f} %" if percent else f"{value:.4g}".replace("-", "−")

    def apart(record: Record) -> str:
        found = differences[record["group"], record["arm"]]
        if not found.pairs:
            return ""
        return "identical" if found.identical else bare_interval(found, record["metric"])

    columns = (
        words("group", "group"),
        words("arm", "arm"),
        number("points", "points", "d"),
        number("equal bits", "equal", "d"),
        number("ended otherwise", "moved", "d"),
        Column(f"best lr, {names[0]}", lambda r: rate(r, "lr_first")),
        Column(f"best lr, {names[1]}", lambda r: rate(r, "lr_second")),
        Column(f"test metric, {names[0]}", lambda r: mean(r, "mean_first")),
        Column(f"test metric, {names[1]}", lambda r: mean(r, "mean_second")),
        Column("difference", apart),
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
    # Beside a missing value the table holds whole numbers as floats, and None as NaN.
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "none"
    return str(value).removesuffix(".0")


def _points(runs: pd.DataFrame, keys: Sequence[str]) -> dict[tuple[str, ...], Hashable]:
    """Labels of rows by their configurations; of a point that was run twice the last one."""
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
