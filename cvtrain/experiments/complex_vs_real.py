"""The experiment `complex_vs_real`: complex networks and their real twins, and the effect of the
factor 2 in both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd

from cvtrain.analysis.arms import REFERENCE, label_runs
from cvtrain.analysis.load import Sweep
from cvtrain.experiments.claims import Claim, pairs_of_laws, row_estimate
from cvtrain.experiments.registry import Experiment
from cvtrain.process.errors import InputError
from cvtrain.report.cells import words
from cvtrain.report.document import Document, Section, Sentence, Table
from cvtrain.report.lr_sweep import report_retuning
from cvtrain.report.paired_comparison import (
    PairedComparison,
    comparison_picture,
    comparison_table,
    paired_comparisons,
    significant_differences,
)

KINDS = ("real", "complex")


def report_complex_vs_real(sweep: Sweep) -> Document:
    """The report on the sweep's arms, preceded by the comparison of complex and real networks.

    Raises:
        InputError: a task has networks of one kind only.
    """
    comparisons = paired_comparisons(sweep, KINDS, lambda runs: _kinds(runs, sweep))
    for one in comparisons:
        for name, side in zip(one.names, one.sides, strict=True):
            if not len(side.runs):
                raise InputError(
                    f"{sweep.directory}: analysis=complex_vs_real compares complex and real"
                    f" networks, and there is no {name} one of {one.task} with {one.optimizer}"
                )
    title = "complex against its real twin, each at its best lr"
    table = comparison_table(comparisons, "complex_vs_real", title)
    sizes = _size_table(sweep)
    picture = comparison_picture(comparisons, "complex_vs_real")
    document = report_retuning(sweep)
    section = Section("Complex and real", (), (table, sizes), (picture,))
    return replace(
        document,
        title="Complex networks and their real twins",
        verdict=(*_sentences(comparisons, sizes), *document.verdict),
        sections=(section, *document.sections),
    )


def _kinds(runs: pd.DataFrame, sweep: Sweep) -> pd.Series:
    """For each run of the reference "complex" or "real", by its parameters; "" for other arms."""
    arms = label_runs(runs, sweep.config_keys, ablations=False)["arm"]
    kinds = (runs["parameters.complex"] > 0).map({True: "complex", False: "real"})
    return kinds.where(arms == REFERENCE, "")


def _size_table(sweep: Sweep) -> Table:
    """Real degrees of freedom of the networks; a complex parameter counts as two."""
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


def _sentences(comparisons: Sequence[PairedComparison], sizes: Table) -> Iterator[Sentence]:
    for text in significant_differences(comparisons):
        yield Sentence(f"Complex against real: {text}", ("complex_vs_real",))
    worst = max(
        (abs(row["complex"] / row["real"] - 1) for row in sizes.records if row["real"]),
        default=0.0,
    )
    yield Sentence(
        f"The twins' real degrees of freedom agree to {worst:.1%}.", ("degrees_of_freedom",)
    )


EXPERIMENT = Experiment(
    report_complex_vs_real,
    claims=(
        Claim("Runs that a law makes equal are equal, bit for bit.", pairs_of_laws),
        *(
            Claim(
                f"On noncircular noise the complex network is better with {optimizer}.",
                row_estimate("complex_vs_real", {"task": "noncircular", "optimizer": optimizer}),
                above=0.0,
                unit="points",
            )
            for optimizer in ("SGD", "Adam")
        ),
        Claim(
            "On the equalizer the complex network has a smaller error with Adam.",
            row_estimate("complex_vs_real", {"task": "equalizer", "optimizer": "Adam"}),
            below=0.0,
            unit="dB",
        ),
    ),
)
