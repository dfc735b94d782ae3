"""The experiment `split_vs_modulus`: the semantics split and modulus, each at its own learning
rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cvtrain.analysis.load import Sweep
from cvtrain.experiments.claims import Claim, counted_facts, row_estimate
from cvtrain.experiments.registry import Experiment
from cvtrain.laws.rotation import CANDIDATES, EIGHTH, QUARTER, rotation_errors
from cvtrain.report.cells import Column, words
from cvtrain.report.document import Document, Section, Sentence, Table
from cvtrain.report.paired_comparison import (
    PairedComparison,
    comparison_picture,
    comparison_table,
    paired_comparisons,
    significant_differences,
)

SEMANTICS = ("split", "modulus")

TURNS = 1e-12
"""Largest relative error of a rule that counts as commuting with rotations of the plane."""


def report_semantics(sweep: Sweep) -> Document:
    """Report which rules commute with rotations of the plane, and what the semantics change."""
    errors = {c.name: rotation_errors(c, QUARTER, EIGHTH) for c in CANDIDATES}
    comparisons = compare_semantics(sweep)
    picture = comparison_picture(comparisons, "split_vs_modulus")
    title = "split against modulus, each at its best lr"
    table = comparison_table(comparisons, "split_vs_modulus", title)
    broken = [
        f"{name} does not turn with the plane as predicted"
        for name, (quarter, eighth) in errors.items()
        if quarter != 0 or ("split" in name) == (eighth < TURNS)
    ]
    return Document(
        title="Re and Im as two reals, or one complex number",
        verdict=tuple(Sentence(text, ("split_vs_modulus",)) for text in describe(comparisons)),
        sections=(
            Section("Rules that turn with the plane", tables=(_rotation_table(errors),)),
            Section("Training", tables=(table,), pictures=(picture,)),
        ),
        broken=tuple(broken),
        facts={"rules": len(errors), "turn_as_predicted": len(errors) - len(broken)},
    )


def compare_semantics(sweep: Sweep) -> list[PairedComparison]:
    """Modulus compared with split, for every task and optimizer."""
    return paired_comparisons(sweep, SEMANTICS, lambda runs: runs["optimizer.semantics"])


def describe(comparisons: Sequence[PairedComparison]) -> list[str]:
    """One sentence on the best learning rates and one on the differences of the test metric."""
    sentences = []
    octaves = [one.octaves for one in comparisons if not math.isnan(one.octaves)]
    if octaves:
        middle, least, most = (2 ** float(f(octaves)) for f in (np.median, min, max))
        sentences.append(
            f"Best learning rate of modulus over that of split: median × {middle:.2f}"
            f" (× {least:.2f} to × {most:.2f}; √2 = 1.41 makes isotropic steps equally long)."
        )
    return sentences + significant_differences(comparisons)


def _rotation_table(errors: dict[str, tuple[float, ...]]) -> Table:
    records = [
        {"rule": name, "quarter": quarter, "eighth": eighth, "turns": eighth < TURNS}
        for name, (quarter, eighth) in errors.items()
    ]
    columns = (
        words("rule", "rule"),
        Column("φ = π/2", lambda r: "0" if r["quarter"] == 0 else f"{r['quarter']:.1e}"),
        Column("φ = π/4", lambda r: f"{r['eighth']:.1e}"),
        Column("turns with the plane", lambda r: "yes" if r["turns"] else "no"),
    )
    title = "turning every weight by φ: largest relative error"
    return Table("rotation", title, columns, tuple(records))


EXPERIMENT = Experiment(
    report_semantics,
    quick=("seed=0,1", "lr_octave=0,1", "max_steps=10"),
    claims=(
        Claim(
            "Update rules respond to a rotation of the complex plane as predicted.",
            counted_facts("turn_as_predicted", "rules"),
        ),
        *(
            Claim(
                f"On the digits {optimizer} with modulus is as good as with split, within a point.",
                row_estimate("split_vs_modulus", {"task": "digits_fft", "optimizer": optimizer}),
                *(-1.0, 1.0, "points"),
            )
            for optimizer in ("Adam", "RMSprop")
        ),
        Claim(
            "On the digits Lion is better with split.",
            row_estimate("split_vs_modulus", {"task": "digits_fft", "optimizer": "Lion"}),
            below=0.0,
            unit="points",
        ),
    ),
)
