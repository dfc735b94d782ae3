"""What the experiment `split_vs_modulus` found: two semantics, each at its own learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cvtrain.analysis.load import Sweep
from cvtrain.experiments.registry import Experiment
from cvtrain.laws.rotation import CANDIDATES, EIGHTH, QUARTER, rotation_error
from cvtrain.report.document import (
    Column,
    Document,
    Picture,
    Section,
    Sentence,
    Table,
    words,
)
from cvtrain.report.figures.contests import contest_curves
from cvtrain.report.paired_comparison import (
    PairedComparison,
    contest_table,
    differences_told,
    paired_comparisons,
)

SEMANTICS = ("split", "modulus")

TURNS = 1e-12
"""Largest relative error of a rule that turns with the plane."""


def report_semantics(sweep: Sweep) -> Document:
    """Which rules turn with the plane, and what the semantics change."""
    errors = {c.name: (rotation_error(c, QUARTER), rotation_error(c, EIGHTH)) for c in CANDIDATES}
    found = semantics_contests(sweep)
    picture = Picture(
        "split_vs_modulus",
        "Test metric of held-out seeds over the learning rate",
        contest_curves(found),
    )
    title = "split against modulus, each at its best lr"
    table = contest_table(found, "split_vs_modulus", title)
    broken = [
        f"{name} does not turn with the plane as predicted"
        for name, (quarter, eighth) in errors.items()
        if quarter != 0 or ("split" in name) == (eighth < TURNS)
    ]
    return Document(
        title="Re and Im as two reals, or one complex number",
        verdict=tuple(Sentence(each, ("split_vs_modulus",)) for each in describe(found)),
        sections=(
            Section("Rules that turn with the plane", tables=(_rotation_table(errors),)),
            Section("Training", tables=(table,), pictures=(picture,)),
        ),
        broken=tuple(broken),
    )


def semantics_contests(sweep: Sweep) -> list[PairedComparison]:
    """Modulus against split, for every task and optimizer."""
    return paired_comparisons(sweep, SEMANTICS, lambda runs: runs["optimizer.semantics"])


def describe(found: Sequence[PairedComparison]) -> list[str]:
    """What the contests say together."""
    told = []
    octaves = [each.octaves for each in found if not math.isnan(each.octaves)]
    if octaves:
        middle, least, most = (2 ** float(f(octaves)) for f in (np.median, min, max))
        told.append(
            f"Best learning rate of modulus over that of split: median × {middle:.2f}"
            f" (× {least:.2f} to × {most:.2f}; √2 = 1.41 makes isotropic steps equally long)."
        )
    told += differences_told(found)
    return told


def _rotation_table(errors: dict[str, tuple[float, float]]) -> Table:
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


EXPERIMENT = Experiment(report_semantics, quick=("seed=0,1", "lr_octave=0,1", "max_steps=20"))
