"""What the experiment `laws` found: which pairs of trainings ended with equal bits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from cvtrain.analysis.checkpoint_diff import difference, last_weights
from cvtrain.analysis.load import Sweep
from cvtrain.experiments.registry import Experiment
from cvtrain.laws.law_cases import (
    CONTROLS,
    EXACT_FACTORS,
    LAW_CASES,
    ROUNDING_FACTOR,
    variant,
    variants,
)
from cvtrain.report.document import Column, Document, Section, Sentence, Table, words

SETTING = ("model._target_", "dtype")


@dataclass(frozen=True)
class Pair:
    """A training with the factor c and the one with c = 1.

    Attributes:
        setting: network and precision.
        difference: max |w − w'| / max |w| over parameters; 0 where all bits are equal; NaN where
            one of the two has no usable weights.
    """

    name: str
    c: float
    setting: tuple[str, ...]
    difference: float

    @property
    def equal(self) -> bool:
        """Whether all bits are."""
        return self.difference == 0


def pairs(sweep: Sweep) -> list[Pair]:
    """Every pair of which both runs finished, in the order of the table of laws."""
    finished = sweep.runs[sweep.runs["status"] == "finished"]
    found = []
    for setting, runs in finished.groupby(list(SETTING), sort=False):
        directories = dict(zip(runs["variant"], runs["directory"], strict=True))
        for name, c in _expected():
            reference, other = (directories.get(_label(name, each)) for each in (1.0, c))
            if reference is not None and other is not None:
                weights = [last_weights(sweep.directory / each) for each in (reference, other)]
                where = tuple(str(part).rsplit(".", 1)[-1] for part in pd.Series(setting))
                found.append(Pair(name, c, where, difference(*weights)))
    return found


def report_laws(sweep: Sweep) -> Document:
    """The table of laws and controls, and which of them do not hold."""
    found = pairs(sweep)
    exact = [p for p in found if p.c in EXACT_FACTORS and p.name in _laws()]
    held = sum(pair.equal for pair in exact)
    missing = list(_missing(found, sweep))
    told = f"{held} of {len(exact) + len(missing)} exact pairs are equal, bit for bit."
    return Document(
        title="What hyperparameters absorb, bit for bit",
        verdict=(Sentence(told, ("laws", "controls")),),
        sections=(Section("Laws", tables=(_law_table(found), _control_table(found))),),
        broken=(*_broken(found), *missing),
        facts={"exact_pairs": len(exact), "equal_pairs": held},
    )


def _law_table(found: list[Pair]) -> Table:
    records = []
    for law in LAW_CASES:
        ours = [pair for pair in found if pair.name == law.name]
        cells = {c: _cell(p for p in ours if p.c == c) for c in (*EXACT_FACTORS, ROUNDING_FACTOR)}
        records.append(
            {"law": law.name, "map": law.map, **{f"c={c:.4g}": cell for c, cell in cells.items()}}
        )
    factors = [(f"c = {c:g}", f"c={c:.4g}") for c in EXACT_FACTORS]
    columns = (
        words("law", "law"),
        words("map", "map"),
        *(
            _text(heading, key)
            for heading, key in (*factors, ("c = ⅓", f"c={ROUNDING_FACTOR:.4g}"))
        ),
    )
    title = "under g → c·g the same weights come from"
    caption = "pairs equal bit for bit, or the largest relative difference of a weight"
    return Table("laws", title, columns, tuple(records), caption)


def _control_table(found: list[Pair]) -> Table:
    records = []
    for control in CONTROLS:
        ours = [pair for pair in found if pair.name == control.name]
        pure, mixed = ([p for p in ours if _mixed(p) == kind] for kind in (False, True))
        records.append(
            {"control": control.name, "purely complex": _cell(pure), "mixed": _cell(mixed)}
        )
    columns = (
        words("control", "control"),
        _text("purely complex", "purely complex"),
        _text("mixed", "mixed"),
    )
    title = "½ of the gradient without a law: predicted to differ"
    return Table("controls", title, columns, tuple(records))


def _text(heading: str, key: str) -> Column:
    return Column(heading, lambda record: str(record[key]))


def _cell(found: Iterable[Pair]) -> str:
    chosen = list(found)
    if not chosen:
        return "missing"
    equal = sum(pair.equal for pair in chosen)
    if equal == len(chosen):
        return f"{equal} equal"
    worst = max(pair.difference for pair in chosen)
    return f"{worst:.1e}" if equal == 0 else f"{worst:.1e} ({equal} equal)"


def _broken(found: list[Pair]) -> list[str]:
    told = []
    laws = _laws()
    spared = {control.name for control in CONTROLS if control.equal_if_purely_complex}
    for pair in found:
        if pair.name in laws:
            wrong = pair.c in EXACT_FACTORS and not pair.equal
        else:
            wrong = pair.equal != (pair.name in spared and not _mixed(pair))
        if wrong:
            how = "equal" if pair.equal else f"{pair.difference:.1e} apart"
            told.append(f"{pair.name}, c = {pair.c:g}, {' '.join(pair.setting)}: {how}")
    return told


def _missing(found: list[Pair], sweep: Sweep) -> Iterable[str]:
    """Pairs that were asked for and of which a run did not finish."""
    there = {(pair.name, pair.c, pair.setting) for pair in found}
    asked = sweep.runs.dropna(subset=["variant"])
    for values, runs in asked.groupby(list(SETTING), sort=False):
        setting = tuple(str(part).rsplit(".", 1)[-1] for part in pd.Series(values))
        labels = set(runs["variant"])
        for name, c in _expected():
            if _label(name, c) in labels and (name, c, setting) not in there:
                yield f"{name}, c = {c:g}, {' '.join(setting)}: not trained to the end"


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
    report_laws, variants, quick=("model=mlp", "dtype=complex64", "max_steps=20")
)
