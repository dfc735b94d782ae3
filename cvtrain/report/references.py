"""Results of trained networks beside known bounds and baselines of their task."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from cvtrain.analysis.arms import label_runs
from cvtrain.analysis.best_lr import judged_runs, scored_runs, tuned
from cvtrain.analysis.load import Sweep
from cvtrain.report.cells import Record, number, words
from cvtrain.report.document import Section, Sentence, Table

COMPARABLE_LOSSES = ("complex_mse", "cross_entropy")
"""Objectives whose values can be compared with the known losses of a task."""


def reference_section(sweep: Sweep) -> Section | None:
    """A table of the bounds and baselines that the data sets state, with the mean over seeds of the
    reference arm at the learning rate that validation chose; None if none are stated."""
    runs = scored_runs(sweep)
    if "references" not in runs:
        return None
    labelled = label_runs(runs, sweep.config_keys)
    records = list(dict.fromkeys(tuple(record.items()) for record in _records(labelled)))
    if not records:
        return None
    table = Table(
        name="references",
        title="bounds and baselines",
        columns=(
            words("measured", "measured"),
            words("by", "by"),
            words("", "kind"),
            number("value", "value", ".4f"),
        ),
        records=tuple(map(dict, records)),
        caption="trained: mean over seeds of the reference arm at the learning rate that validation"
        " chose; known: of the same data, independent of any network",
        numbered=True,
    )
    return Section("Known bounds and baselines", tuple(_sentences(table)), (table,))


def _records(labelled: pd.DataFrame) -> Iterator[Record]:
    for group, rows in labelled.groupby("group", sort=False):
        if not {"test/accuracy", "test/nmse"} & set(rows):  # no run has finished
            continue
        known = [value for value in rows["references"] if isinstance(value, tuple)]
        # Groups of other data have other bounds.
        task = ", ".join(name for _, name, _ in known[0]) if known else ""
        for tag, name, value in known[0] if known else ():
            if tag == "test/loss" and not set(rows["objective.loss"]) <= set(COMPARABLE_LOSSES):
                continue
            of_task = {"measured": tag, "task": task}
            of_arm = judged_runs(rows[rows["arm"] == rows["reference"]])[0]
            best = tuned(of_arm).best if len(of_arm) else of_arm
            if len(best) and tag in best:
                mean = float(best[tag].mean())
                yield {"by": str(group), "kind": "trained", "value": mean} | of_task
            yield {"by": name, "kind": "known", "value": float(value)} | of_task


def _sentences(table: Table) -> Iterator[Sentence]:
    """One sentence per measure and task on the best trained network and each bound."""
    rows = list(enumerate(table.records))
    for tag, task in dict.fromkeys((one["measured"], one["task"]) for one in table.records):
        sign = -1 if str(tag).endswith("accuracy") else 1
        of_tag = [row for row in rows if (row[1]["measured"], row[1]["task"]) == (tag, task)]
        trained = [(i, r) for i, r in of_tag if r["kind"] == "trained"]
        trained = [(i, r) for i, r in trained if not math.isnan(r["value"])]
        if not trained:
            continue
        index, best = min(trained, key=lambda row: sign * row[1]["value"])
        for other, known in of_tag:
            if known["kind"] == "known":
                better = sign * best["value"] < sign * known["value"]
                yield Sentence(
                    f"{best['by']}: {tag} {best['value']:.4f},"
                    f" {'better' if better else 'worse'} than {known['by']}, {known['value']:.4f}.",
                    (table.row_name(index), table.row_name(other)),
                )
