"""The experiment `activations`: activation × initialisation × normalisation, each combination at
its own learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cvtrain.analysis.answer import signed_text
from cvtrain.analysis.best_lr import Tuned, judged_runs, scored_runs, tuned
from cvtrain.analysis.difference import (
    DISCOVERY_RATE,
    SEEDS_NEEDED,
    Difference,
    adjusted_p,
    paired_difference,
)
from cvtrain.analysis.load import Sweep
from cvtrain.experiments.claims import Claim, row_estimate
from cvtrain.experiments.registry import Experiment
from cvtrain.process.errors import InputError
from cvtrain.report.cells import (
    Column,
    difference_fields,
    interval,
    learning_rate,
    mean_and_spread,
    number,
    p_value,
    rate_text,
    spread_text,
    words,
)
from cvtrain.report.document import Document, Picture, Section, Sentence, Table
from cvtrain.report.figures.metric_panels import CURVES, MetricCurve, metric_panels
from cvtrain.report.figures.panels import Panels
from cvtrain.report.paired_comparison import NO_CONTROL

FACTORS = ("activation", "initialisation", "normalisation")


@dataclass(frozen=True, eq=False)
class Combination:
    """An activation, an initialisation and a normalisation, in this order in `levels`."""

    levels: tuple[str, ...]
    tuned: Tuned

    @property
    def name(self) -> str:
        """E.g. ``CReLU, he, batch``."""
        return ", ".join(self.levels)


@dataclass(frozen=True)
class Effect:
    """The effect of one level of a factor instead of another, with the other factors equal.

    Attributes:
        factor: a factor in `FACTORS`, or `combination` if all may differ.
        change: the change in words, e.g. ``he for glorot``.
        others: levels of the other factors.
        difference: difference of the test metric, paired by held-out split and seed.
        p_value: p-value from `adjusted_p`, among all effects of its table.
    """

    factor: str
    change: str
    others: str
    difference: Difference
    p_value: float

    @property
    def significant(self) -> bool:
        """Whether the difference is significant at the false discovery rate `DISCOVERY_RATE`."""
        return self.p_value < DISCOVERY_RATE


def combinations(sweep: Sweep) -> tuple[list[Combination], str]:
    """Every combination with runs that have begun, and the name of the test metric.

    Raises:
        InputError: the model of a run lacks one of the three keys.
    """
    runs = scored_runs(sweep)
    keys = [f"model.{factor}" for factor in FACTORS]
    lacking = [key for key in keys if key not in runs or runs[key].isna().any()]
    if lacking:
        raise InputError(
            f"{sweep.directory}: analysis=activations compares models by {', '.join(keys)}, and"
            f" there are runs without {lacking[0]}; model=mlp and model=mixed_mlp have them"
        )
    runs, metric = judged_runs(runs)
    grouped = runs.groupby(keys, sort=False)
    return [Combination(tuple(map(str, key)), tuned(rows)) for key, rows in grouped], metric


def report_activations(sweep: Sweep) -> Document:
    """Report the combination that validation chooses, its equals, and the effect of each factor.

    Raises:
        InputError: the models of the runs lack these factors.
    """
    combined, metric = combinations(sweep)
    steps = effects(combined)
    choice = min(combined, key=lambda one: one.tuned.score)
    behind = against(choice, combined)
    unit, ordered = choice.tuned.unit, sorted(combined, key=lambda one: one.tuned.score)
    lowest = "; ".join(one.name for one in ordered[:3])
    seen = f"{CURVES.format(unit=unit)}. The lowest validation losses are those of {lowest}."
    title = f"Test metric of held-out {unit}s over the learning rate"
    picture = Picture("activation_curves", title, activation_curves(combined, metric), seen)
    main = (_main_table(combined, metric), _effect_table("effects", "one factor changed", steps))
    every = (
        _combination_table(combined, metric),
        _effect_table("behind", "in place of the choice", behind),
    )
    return Document(
        title="Activations, initialisations and batch normalisation",
        verdict=tuple(describe(combined, choice, behind, steps, metric)),
        sections=(
            Section("Test metric", tables=main, pictures=(picture,)),
            Section("Every combination", tables=every),
        ),
        facts={"choice": dict(zip(FACTORS, choice.levels, strict=True))},
    )


def effects(combined: Sequence[Combination]) -> list[Effect]:
    """Effects of all initialisations and normalisations relative to the first one that was run."""
    by_levels = {one.levels: one for one in combined}
    pairs = []
    for index in (1, 2):
        first = combined[0].levels[index]
        for after in combined:
            others = after.levels[:index], after.levels[index + 1 :]
            before = by_levels.get((*others[0], first, *others[1]))
            if before is not None and before is not after:
                change = f"{after.levels[index]} for {first}"
                pairs.append((FACTORS[index], change, ", ".join(sum(others, ())), before, after))
    return _tested(pairs)


def against(choice: Combination, combined: Sequence[Combination]) -> list[Effect]:
    """The effect of every other combination compared with `choice`."""
    others = [one for one in combined if one is not choice]
    return _tested([("combination", one.name, "", choice, one) for one in others])


def _tested(pairs: Sequence[tuple[str, str, str, Combination, Combination]]) -> list[Effect]:
    differences = [
        paired_difference(before.tuned.best, after.tuned.best, "metric")
        for *_, before, after in pairs
    ]
    tested = zip(pairs, differences, adjusted_p(differences), strict=True)
    return [
        Effect(factor, change, others, difference, p)
        for (factor, change, others, _, _), difference, p in tested
    ]


def describe(
    combined: Sequence[Combination],
    choice: Combination,
    behind: Sequence[Effect],
    steps: Sequence[Effect],
    metric: str,
) -> Iterator[Sentence]:
    """The answer in a few sentences computed from the numbers."""
    best = choice.tuned
    if best.best_lr is None:
        yield Sentence("No combination has a usable learning rate.", ("combinations",))
        return
    yield Sentence(
        f"Validation chooses {choice.name} at learning rate {rate_text(best.best_lr)}:"
        f" {spread_text(best.mean, best.spread)} ({metric}; {len(best.best)} {best.unit}s).",
        (f"combinations {combined.index(choice) + 1}",),
    )
    tested = [effect for effect in behind if not math.isnan(effect.p_value)]
    if not tested:
        needed = f"it takes {SEEDS_NEEDED} held-out {best.unit}s"
        yield Sentence(f"Whether others differ: inconclusive ({needed}).")
    else:
        level = [effect.change for effect in tested if not effect.significant]
        named = f": {'; '.join(level)}" if 0 < len(level) <= 4 else ""
        yield Sentence(
            f"{len(level)} of {len(tested)} others do not differ from it significantly{named}.",
            ("behind",),
        )
    for factor, change in dict.fromkeys((effect.factor, effect.change) for effect in steps):
        own = [e for e in steps if (e.factor, e.change) == (factor, change)]
        if not (tested := [effect for effect in own if not math.isnan(effect.p_value)]):
            continue
        means = [effect.difference.mean for effect in tested]
        significant = [effect.difference.mean for effect in tested if effect.significant]
        yield Sentence(
            f"{factor.capitalize()} {change}: mean changes from {signed_text(min(means))} to"
            f" {signed_text(max(means))}, significant in {len(significant)} of {len(tested)}"
            f" combinations (up in {sum(m > 0 for m in significant)}, down in"
            f" {sum(m < 0 for m in significant)}).",
            ("effects",),
        )
    yield Sentence(NO_CONTROL.format(unit=best.unit))
    if lost := [one.name for one in combined if one.tuned.best_lr is None]:
        yield Sentence(f"No usable learning rate: {'; '.join(lost)}.", ("combinations",))


def _main_table(combined: Sequence[Combination], metric: str) -> Table:
    """One row per activation, one column per combination of the other factors."""
    by_levels = {one.levels: one.tuned for one in combined}
    others = {", ".join(one.levels[1:]): one.levels[1:] for one in combined}
    records = []
    for activation in dict.fromkeys(one.levels[0] for one in combined):
        record: dict[str, object] = {"activation": activation}
        for name, levels in others.items():
            cell = by_levels.get((activation, *levels))
            record[f"{name}, mean"] = math.nan if cell is None else cell.mean
            record[f"{name}, spread"] = math.nan if cell is None else cell.spread
            record[f"{name}, edge"] = cell is not None and cell.edge
        records.append(record)
    columns = [words("activation", "activation")] + [
        mean_and_spread(name, f"{name}, mean", f"{name}, spread", f"{name}, edge")
        for name in others
    ]
    caption = (
        f"{metric}; means ± standard deviations over held-out {combined[0].tuned.unit}s, each at"
        " its own learning rate; *: the smallest or largest learning rate tried"
    )
    return Table("activations", metric, tuple(columns), tuple(records), caption)


def _combination_table(combined: Sequence[Combination], metric: str) -> Table:
    records = tuple(
        {
            **dict(zip(FACTORS, one.levels, strict=True)),
            "lr": one.tuned.best_lr,
            "edge": one.tuned.edge,
            "score": one.tuned.score,
            "mean": one.tuned.mean,
            "spread": one.tuned.spread,
            "seeds": len(one.tuned.best),
            "runs": len(one.tuned.runs),
            "diverged": int((one.tuned.runs["status"] == "diverged").sum()),
        }
        for one in combined
    )
    columns = (
        *(words(factor, factor) for factor in FACTORS),
        learning_rate("best lr", "lr", "edge"),
        number("val loss", "score"),
        mean_and_spread(metric, "mean", "spread"),
        number("runs", "runs", "d"),
        number("diverged", "diverged", "d"),
    )
    title = "every combination at its best lr"
    return Table("combinations", title, columns, records, numbered=True, detail=True)


def _effect_table(name: str, title: str, effects: Sequence[Effect]) -> Table:
    records = tuple(
        {
            "factor": effect.factor,
            "change": effect.change,
            "others": effect.others,
            **difference_fields(effect.difference),
            "p_value": effect.p_value,
            "significant": effect.significant,
            "text": "yes" if effect.significant else "no",
        }
        for effect in effects
    )
    columns = (
        words("change", "change"),
        words("other factors", "others"),
        interval("difference"),
        p_value("p, adjusted", "p_value"),
        Column("significant", lambda r: "too few" if math.isnan(r["p_value"]) else r["text"]),
    )
    caption = (
        "paired differences of the test metric, 95 % intervals over held-out seeds or splits; p of"
        f" Student's paired test, at a false discovery rate of {DISCOVERY_RATE:.0%}, from"
        f" {SEEDS_NEEDED} on"
    )
    return Table(name, title, columns, records, caption, detail=name == "behind")


def activation_curves(combined: Sequence[Combination], metric: str) -> Panels:
    """One panel per initialisation (row) and normalisation (column), one line per activation."""
    curves = [
        MetricCurve(row, column, f"initialisation {row}, normalisation {column}", name, metric, one)
        for (name, row, column), one in ((one.levels, one.tuned) for one in combined)
    ]
    return metric_panels(curves)


CHANGE = row_estimate("effects", {"change": "batch for none", "others": "CReLU, glorot"})
CLAIM = Claim(
    "Batch normalisation changes CReLU by less than 2 points.", CHANGE, -2.0, 2.0, "points"
)
QUICK = ("model.activation=CReLU,cardioid", "seed=0,1", "lr_octave=0,1", "max_steps=10")
EXPERIMENT = Experiment(report_activations, quick=QUICK, claims=(CLAIM,))
