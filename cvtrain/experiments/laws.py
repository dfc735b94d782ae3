"""The experiment `laws`: which pairs of trainings end with equal bits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cvtrain.analysis.checkpoint_diff import difference, last_weights
from cvtrain.analysis.load import Sweep
from cvtrain.experiments.claims import Claim, counted_facts
from cvtrain.experiments.registry import Experiment
from cvtrain.laws.law_cases import (
    CONTROLS,
    EXACT_FACTORS,
    LAW_CASES,
    ROUNDING_FACTOR,
    variant,
    variants,
)
from cvtrain.report.cells import Column, words
from cvtrain.report.document import Document, Section, Sentence, Table

SETTING = ("model._target_", "dtype")


@dataclass(frozen=True)
class Pair:
    """A training with the factor c, and the training with c = 1.

    Attributes:
        name: name of the law or control.
        c: the factor.
        setting: network and precision.
        difference: max |w − w'| / max |w| over parameters; 0 if all bits are equal; NaN if one of
            the two has no usable weights.
    """

    name: str
    c: float
    setting: tuple[str, ...]
    difference: float

    @property
    def equal(self) -> bool:
        """Whether all bits of the weights are equal."""
        return self.difference == 0


def pairs(sweep: Sweep) -> list[Pair]:
    """Every pair of finished runs, in the order of the table of laws."""
    finished = sweep.runs[sweep.runs["status"] == "finished"]
    made = []
    for setting, runs in finished.groupby(list(SETTING), sort=False):
        directories = dict(zip(runs["variant"], runs["directory"], strict=True))
        for name, c in _expected():
            reference, other = (directories.get(_label(name, factor)) for factor in (1.0, c))
            if reference is not None and other is not None:
                weights = (last_weights(sweep.directory / run) for run in (reference, other))
                made.append(Pair(name, c, _short(setting), difference(*weights)))
    return made


def report_laws(sweep: Sweep) -> Document:
    """Report the laws and controls, and which of them do not hold."""
    made = pairs(sweep)
    exact = [p for p in made if p.c in EXACT_FACTORS and p.name in _laws()]
    held = sum(pair.equal for pair in exact)
    missing = list(_missing(made, sweep))
    text = f"{held} of {len(exact) + len(missing)} exact pairs are equal, bit for bit."
    return Document(
        title="What hyperparameters absorb, bit for bit",
        verdict=(Sentence(text, ("laws", "controls")),),
        sections=(Section("Laws", tables=(_law_table(made), _control_table(made))),),
        broken=(*_broken(made), *missing),
        facts={"exact_pairs": len(exact), "equal_pairs": held},
    )


def _law_table(made: list[Pair]) -> Table:
    factors = (*EXACT_FACTORS, ROUNDING_FACTOR)
    records = []
    for law in LAW_CASES:
        own = [pair for pair in made if pair.name == law.name]
        cells = {f"c={c:.4g}": _cell(p for p in own if p.c == c) for c in factors}
        records.append({"law": law.name, "map": law.map, **cells})
    headings = [*(f"c = {c:g}" for c in EXACT_FACTORS), "c = ⅓"]
    columns = (
        words("law", "law"),
        words("map", "map"),
        *(_text(head, f"c={c:.4g}") for head, c in zip(headings, factors, strict=True)),
    )
    title = "under g → c·g the same weights come from"
    caption = "pairs equal bit for bit, or the largest relative difference of a weight"
    return Table("laws", title, columns, tuple(records), caption)


def _control_table(made: list[Pair]) -> Table:
    kinds = {"purely complex": False, "mixed": True}
    records = []
    for control in CONTROLS:
        own = [pair for pair in made if pair.name == control.name]
        cells = {kind: _cell(p for p in own if _mixed(p) == mixed) for kind, mixed in kinds.items()}
        records.append({"control": control.name, **cells})
    columns = (words("control", "control"), *(_text(kind, kind) for kind in kinds))
    title = "½ of the gradient without a law: predicted to differ"
    return Table("controls", title, columns, tuple(records))


def _text(heading: str, key: str) -> Column:
    return Column(heading, lambda record: str(record[key]))


def _cell(pairs: Iterable[Pair]) -> str:
    differences = [pair.difference for pair in pairs]
    if not differences:
        return "missing"
    equal = differences.count(0)
    if equal == len(differences):
        return f"{equal} equal"
    return f"{max(differences):.1e}" + (f" ({equal} equal)" if equal else "")


def _broken(made: list[Pair]) -> list[str]:
    claims = []
    laws = _laws()
    equal_controls = {control.name for control in CONTROLS if control.equal_if_purely_complex}
    for pair in made:
        if pair.name in laws:
            wrong = pair.c in EXACT_FACTORS and not pair.equal
        else:
            wrong = pair.equal != (pair.name in equal_controls and not _mixed(pair))
        if wrong:
            how = "equal" if pair.equal else f"{pair.difference:.1e} apart"
            claims.append(f"{pair.name}, c = {pair.c:g}, {' '.join(pair.setting)}: {how}")
    return claims


def _missing(made: list[Pair], sweep: Sweep) -> Iterable[str]:
    """Planned pairs of which a run did not finish."""
    finished = {(pair.name, pair.c, pair.setting) for pair in made}
    planned = sweep.runs.dropna(subset=["variant"])
    for values, runs in planned.groupby(list(SETTING), sort=False):
        setting, labels = _short(values), set(runs["variant"])
        for name, c in _expected():
            if _label(name, c) in labels and (name, c, setting) not in finished:
                yield f"{name}, c = {c:g}, {' '.join(setting)}: not trained to the end"


def _short(setting: Any) -> tuple[str, ...]:
    return tuple(str(part).rsplit(".", 1)[-1] for part in setting)


def _expected() -> list[tuple[str, float]]:
    laws = [(law.name, c) for law in LAW_CASES for c in (*EXACT_FACTORS, ROUNDING_FACTOR)]
    return laws + [(control.name, 0.5) for control in CONTROLS]


def _laws() -> set[str]:
    return {law.name for law in LAW_CASES}


def _mixed(pair: Pair) -> bool:
    return "MixedMlp" in pair.setting


def _label(name: str, c: float) -> str:
    return variant(name, c).removeprefix("variant='").removesuffix("'")


EXPERIMENT = Experiment(
    report_laws,
    variants,
    quick=("model=mlp", "dtype=complex64", "max_steps=6"),
    claims=(
        Claim(
            "Weights that a law makes equal are equal, bit for bit.",
            counted_facts("equal_pairs", "exact_pairs"),
        ),
    ),
)
