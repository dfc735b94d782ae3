"""What the experiment `complex_vs_real` found: complex networks beside their real twins, and what
the factor 2 changes in either."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd

from cvtrain.analysis.arms import REFERENCE, label_runs
from cvtrain.analysis.load import Sweep
from cvtrain.experiments.registry import Experiment
from cvtrain.process.errors import InputError
from cvtrain.report.document import Document, Picture, Section, Sentence, Table, words
from cvtrain.report.figures.contests import contest_curves
from cvtrain.report.lr_sweep import report_retuning
from cvtrain.report.paired_comparison import (
    PairedComparison,
    contest_table,
    differences_told,
    paired_comparisons,
)

KINDS = ("real", "complex")


def report_complex_vs_real(sweep: Sweep) -> Document:
    """The report on the sweep's arms, with complex against real before it.

    Raises:
        InputError: some task has networks of one kind only.
    """
    found = paired_comparisons(sweep, KINDS, lambda runs: _kinds(runs, sweep))
    for each in found:
        for name, side in zip(each.names, each.sides, strict=True):
            if not len(side.runs):
                raise InputError(
                    f"{sweep.directory}: analysis=complex_vs_real compares complex and real"
                    f" networks, and there is no {name} one of {each.task} with {each.optimizer}"
                )
    title = "complex against its real twin, each at its best lr"
    table = contest_table(found, "complex_vs_real", title)
    sizes = _size_table(sweep)
    picture = Picture(
        "complex_vs_real",
        "Test metric of held-out seeds over the learning rate",
        contest_curves(found),
    )
    document = report_retuning(sweep)
    told = tuple(_sentences(found, sizes))
    section = Section("Complex and real", (), (table, sizes), (picture,))
    return replace(
        document,
        title="Complex networks and their real twins",
        verdict=(*told, *document.verdict),
        sections=(section, *document.sections),
    )


def _kinds(runs: pd.DataFrame, sweep: Sweep) -> pd.Series:
    """Of the reference's runs, which have complex parameters."""
    arms = label_runs(runs, sweep.config_keys)["arm"]
    kinds = (runs["parameters.complex"] > 0).map({True: "complex", False: "real"})
    return kinds.where(arms == REFERENCE, "")


def _size_table(sweep: Sweep) -> Table:
    """Real degrees of freedom, in which a complex parameter counts as two."""
    runs = sweep.runs.dropna(subset=["parameters.complex"])
    records = []
    for task, rows in runs.groupby("variant", sort=False):
        freedom = 2 * rows["parameters.complex"] + rows["parameters.real"]
        of_complex = rows["parameters.complex"] > 0
        records.append(
            {
                "task": str(task),
                "complex": int(freedom[of_complex].max()) if of_complex.any() else 0,
                "real": int(freedom[~of_complex].max()) if (~of_complex).any() else 0,
            }
        )
    return Table(
        name="degrees_of_freedom",
        title="real degrees of freedom",
        columns=(words("task", "task"), words("complex", "complex"), words("real", "real")),
        records=tuple(records),
        caption="a complex parameter counts as two",
    )


def _sentences(found: Sequence[PairedComparison], sizes: Table) -> Iterator[Sentence]:
    for told in differences_told(found):
        yield Sentence(f"Complex against real: {told}", ("complex_vs_real",))
    worst = max(
        (abs(each["complex"] / each["real"] - 1) for each in sizes.records if each["real"]),
        default=0.0,
    )
    yield Sentence(
        f"The twins' real degrees of freedom agree to {worst:.1%}.", ("degrees_of_freedom",)
    )


EXPERIMENT = Experiment(report_complex_vs_real)
