"""What the experiment `split_vs_modulus` found: two semantics, each at its own learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cvtrain.laws.rotation import CANDIDATES, EIGHTH, QUARTER, rotation_error
from cvtrain.report.contest import Contest, contests
from cvtrain.report.difference import DISCOVERY_RATE, adjusted_p
from cvtrain.report.document import (
    Column,
    Document,
    Picture,
    Record,
    Section,
    Sentence,
    Table,
    words,
)
from cvtrain.report.equivalence import SEEDS_NEEDED
from cvtrain.report.figures.semantics import semantics_curves
from cvtrain.report.load import Sweep
from cvtrain.report.sentences import rate_text
from cvtrain.report.tuned import ACCURACY

TURNS = 1e-12
"""Largest relative error of a rule that turns with the plane."""


def report_semantics(sweep: Sweep) -> Document:
    """Which rules turn with the plane, and what the semantics change."""
    errors = {c.name: (rotation_error(c, QUARTER), rotation_error(c, EIGHTH)) for c in CANDIDATES}
    found = contests(sweep)
    picture = Picture(
        "split_vs_modulus",
        "Test metric of held-out seeds over the learning rate",
        semantics_curves(found),
    )
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
            Section("Training", tables=(_contest_table(found),), pictures=(picture,)),
        ),
        broken=tuple(broken),
    )


def describe(found: Sequence[Contest]) -> list[str]:
    """What the contests say together."""
    told = []
    octaves = [each.octaves for each in found if not math.isnan(each.octaves)]
    if octaves:
        middle, least, most = (2 ** float(f(octaves)) for f in (np.median, min, max))
        told.append(
            f"Best learning rate of modulus over that of split: median × {middle:.2f}"
            f" (× {least:.2f} to × {most:.2f}; √2 = 1.41 makes isotropic steps equally long)."
        )
    p_values = adjusted_p([each.difference for each in found])
    tested = sum(not math.isnan(p) for p in p_values)
    if tested:
        differ = [each for each, p in zip(found, p_values, strict=True) if p <= DISCOVERY_RATE]
        told.append(
            f"{len(differ)} of {tested} differences show at a false discovery rate of"
            f" {DISCOVERY_RATE:.0%}{': ' if differ else ''}{'; '.join(map(_told, differ))}."
        )
    elif found:
        told.append(f"Differences cannot be told: it takes {SEEDS_NEEDED} held-out seeds.")
    return told


def _told(contest: Contest) -> str:
    better = (contest.difference.mean > 0) == (contest.metric == ACCURACY)
    return (
        f"{contest.task}, {contest.optimizer}: {'modulus' if better else 'split'} better by"
        f" {abs(contest.difference.mean):.2g} {contest.metric.split(', ')[1]}"
    )


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


def _contest_table(found: Sequence[Contest]) -> Table:
    records = [
        {
            "task": each.task,
            "optimizer": each.optimizer,
            "metric": each.metric,
            "lr_split": split.best_lr,
            "lr_split_edge": split.edge,
            "lr_modulus": modulus.best_lr,
            "lr_modulus_edge": modulus.edge,
            "split": split.mean,
            "split_spread": split.spread,
            "modulus": modulus.mean,
            "modulus_spread": modulus.spread,
            "difference": each.difference.mean,
            "low": each.difference.low,
            "high": each.difference.high,
            "pairs": each.difference.pairs,
            "p_value": each.p_value,
        }
        for each in found
        for split, modulus in [each.sides]
    ]

    def rate(record: Record, key: str) -> str:
        mark = "*" if record[f"{key}_edge"] else ""
        return "none" if record[key] is None else f"{rate_text(record[key])}{mark}"

    def mean(record: Record, key: str) -> str:
        return f"{record[key]:.2f} ± {record[f'{key}_spread']:.2f}".replace("-", "−")

    def apart(record: Record) -> str:
        text = f"{record['difference']:+.2f} [{record['low']:+.2f}, {record['high']:+.2f}]"
        return text.replace("-", "−")

    columns = (
        words("task", "task"),
        words("optimizer", "optimizer"),
        Column("lr split", lambda r: rate(r, "lr_split")),
        Column("lr modulus", lambda r: rate(r, "lr_modulus")),
        Column("split", lambda r: mean(r, "split")),
        Column("modulus", lambda r: mean(r, "modulus")),
        Column("modulus − split", apart),
    )
    pairs = sorted({each.difference.pairs for each in found})
    caption = (
        "test accuracy in % (digits), test NMSE in dB (the others); means ± standard deviations"
        f" over {' to '.join(map(str, sorted({*pairs[:1], *pairs[-1:]})))} held-out seeds;"
        " differences paired, with 95 % intervals; *: the best may lie beyond the learning rates"
        " tried"
    )
    title = "split against modulus, each at its best lr"
    return Table("split_vs_modulus", title, columns, tuple(records), caption)
