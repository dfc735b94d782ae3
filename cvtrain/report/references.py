"""What trained networks reached, beside what is known of their task: bounds and baselines."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from cvtrain.analysis.arms import REFERENCE, label_runs
from cvtrain.analysis.best_lr import judged_runs, scored_runs, tuned
from cvtrain.analysis.load import Sweep
from cvtrain.report.document import Record, Section, Sentence, Table, number, words

COMPARABLE_LOSSES = ("complex_mse", "cross_entropy")
"""A loss that is known of a task is in one of these, according to the task."""


def reference_section(sweep: Sweep) -> Section | None:
    """A table of what the data sets know of themselves, with the mean over seeds of what the
    reference arm came to at the learning rate that validation chose; None where nothing is known.
    """
    runs = scored_runs(sweep)
    if "references" not in runs:
        return None
    labelled = label_runs(runs, sweep.config_keys)
    records = list(dict.fromkeys(tuple(each.items()) for each in _records(labelled)))
    if not records:
        return None
    table = Table(
        name="references",
        title="beside what is known",
        columns=(
            words("measured", "measured"),
            words("by", "by"),
            words("", "kind"),
            number("value", "value", ".4f"),
        ),
        records=tuple(dict(each) for each in records),
        caption="trained: mean over seeds of the reference arm at the learning rate that validation"
        " chose; known: of the very data, independent of any network",
        numbered=True,
    )
    return Section("Beside what is known", tuple(_sentences(table)), (table,))


def _records(labelled: pd.DataFrame) -> Iterator[Record]:
    for group, rows in labelled.groupby("group", sort=False):
        if not {"test/accuracy", "test/nmse"} & set(rows):  # no run has come to its end
            continue
        known = [each for each in rows["references"] if isinstance(each, tuple)]
        for tag, name, value in known[0] if known else ():
            if tag == "test/loss" and not set(rows["objective.loss"]) <= set(COMPARABLE_LOSSES):
                continue
            of_arm = judged_runs(rows[rows["arm"] == REFERENCE])[0]
            best = tuned(of_arm).best if len(of_arm) else of_arm
            if len(best) and tag in best:
                mine = float(best[tag].mean())
                yield {"measured": tag, "by": str(group), "kind": "trained", "value": mine}
            yield {"measured": tag, "by": name, "kind": "known", "value": float(value)}


def _sentences(table: Table) -> Iterator[Sentence]:
    places = list(enumerate(table.records))
    for tag in dict.fromkeys(record["measured"] for record in table.records):
        rising = str(tag).endswith("accuracy")
        order = (lambda row: -row[1]["value"]) if rising else (lambda row: row[1]["value"])
        there = [row for row in places if row[1]["measured"] == tag]
        trained = [row for row in there if row[1]["kind"] == "trained"]
        trained = [row for row in trained if not math.isnan(row[1]["value"])]
        if not trained:
            continue
        place, best = min(trained, key=order)
        for other, known in there:
            if known["kind"] == "known":
                better = (best["value"] > known["value"]) == rising
                yield Sentence(
                    f"{best['by']}: {tag} {best['value']:.4f},"
                    f" {'better' if better else 'worse'} than {known['by']}, {known['value']:.4f}.",
                    (table.row_name(place), table.row_name(other)),
                )
