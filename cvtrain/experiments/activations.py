"""What the experiment `activations` found: every combination at its own learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cvtrain.analysis.best_lr import Tuned, judged_runs, scored_runs, tuned
from cvtrain.analysis.difference import DISCOVERY_RATE, Difference, adjusted_p, paired_difference
from cvtrain.analysis.equivalence import SEEDS_NEEDED
from cvtrain.analysis.load import Sweep
from cvtrain.experiments.registry import Experiment
from cvtrain.process.errors import InputError
from cvtrain.report.document import (
    Column,
    Document,
    Picture,
    Record,
    Section,
    Sentence,
    Table,
    number,
    words,
)
from cvtrain.report.figures.activations import activation_curves
from cvtrain.report.narrative import rate_text

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
    """One level of a factor in place of another, the other factors equal.

    Attributes:
        factor: of `FACTORS`, or `combination` where all may differ.
        name: what took the place of what.
        beside: the levels of the other factors.
        difference: of the test metric, paired by held-out seed.
        p_value: from `adjusted_p`, among all of its table.
    """

    factor: str
    name: str
    beside: str
    difference: Difference
    p_value: float

    @property
    def real(self) -> bool:
        """Whether it is called a difference."""
        return self.p_value <= DISCOVERY_RATE


def combinations(sweep: Sweep) -> tuple[list[Combination], str]:
    """Every combination of which runs have begun, and the name of the test metric.

    Raises:
        InputError: the runs' model has not these three keys.
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
    found = [
        Combination(tuple(map(str, levels)), tuned(rows))
        for levels, rows in runs.groupby(keys, sort=False)
    ]
    return found, metric


def report_activations(sweep: Sweep) -> Document:
    """Which combination validation chooses, what cannot be told from it, and what each factor does.

    Raises:
        InputError: the runs' models have no such factors.
    """
    found, metric = combinations(sweep)
    steps = effects(found)
    leader = min(found, key=lambda each: each.tuned.score)
    behind = against(leader, found)
    picture = Picture(
        "activation_curves",
        "Test metric of held-out seeds over the learning rate",
        activation_curves([(each.levels, each.tuned) for each in found], metric),
    )
    main = (_main_table(found, metric), _effect_table("effects", "one factor changed", steps))
    every = (
        _combination_table(found, metric),
        _effect_table("behind", "in place of the choice", behind),
    )
    return Document(
        title="Activations, initialisations and batch normalisation",
        verdict=tuple(describe(found, leader, behind, steps, metric)),
        sections=(
            Section("Test metric", tables=main, pictures=(picture,)),
            Section("Every combination", tables=every),
        ),
        facts={"choice": dict(zip(FACTORS, leader.levels, strict=True))},
    )


def effects(found: Sequence[Combination]) -> list[Effect]:
    """What every other level of initialisation and normalisation changes from the first one that
    was run, for each combination of the other factors."""
    pairs = []
    for place in (1, 2):
        first = found[0].levels[place]
        for after in found:
            levels = list(after.levels)
            levels[place] = first
            before = next((each for each in found if each.levels == tuple(levels)), None)
            if before is not None and after.levels[place] != first:
                beside = ", ".join(after.levels[:place] + after.levels[place + 1 :])
                name = f"{after.levels[place]} for {first}"
                pairs.append((FACTORS[place], name, beside, before, after))
    return _adjusted(pairs)


def against(leader: Combination, found: Sequence[Combination]) -> list[Effect]:
    """What every other combination changes from `leader`."""
    others = [each for each in found if each is not leader]
    return _adjusted([("combination", each.name, "", leader, each) for each in others])


def _adjusted(
    pairs: Sequence[tuple[str, str, str, Combination, Combination]],
) -> list[Effect]:
    differences = [
        paired_difference(before.tuned.best, after.tuned.best, "metric")
        for *_, before, after in pairs
    ]
    return [
        Effect(factor, name, beside, difference, p)
        for (factor, name, beside, *_), difference, p in zip(
            pairs, differences, adjusted_p(differences), strict=True
        )
    ]


def describe(
    found: Sequence[Combination],
    leader: Combination,
    behind: Sequence[Effect],
    steps: Sequence[Effect],
    metric: str,
) -> Iterator[Sentence]:
    """The answer in a few sentences."""
    best = leader.tuned
    if best.best_lr is None:
        yield Sentence("No combination has a usable learning rate.", ("combinations",))
        return
    yield Sentence(
        f"Validation chooses {leader.name} at learning rate {rate_text(best.best_lr)}:"
        f" {best.mean:.2f} ± {best.spread:.2f} ({metric}; {len(best.best)} seeds).",
        (f"combinations {found.index(leader) + 1}",),
    )
    tested = [each for each in behind if not math.isnan(each.p_value)]
    if not tested:
        yield Sentence(
            f"Whether others differ cannot be told: it takes {SEEDS_NEEDED} held-out seeds."
        )
    else:
        level = [each.name for each in tested if not each.real]
        named = f": {'; '.join(level)}" if 0 < len(level) <= 4 else ""
        yield Sentence(
            f"{len(level)} of {len(tested)} others cannot be told from it{named}.", ("behind",)
        )
    for factor, name in dict.fromkeys((each.factor, each.name) for each in steps):
        own = [each for each in steps if (each.factor, each.name) == (factor, name)]
        usable = [each for each in own if not math.isnan(each.p_value)]
        if not usable:
            continue
        real = [each.difference.mean for each in usable if each.real]
        means = [each.difference.mean for each in usable]
        yield Sentence(
            f"{factor.capitalize()} {name}: mean changes from {_signed(min(means))} to"
            f" {_signed(max(means))}, told apart in {len(real)} of {len(usable)} combinations"
            f" (up in {sum(m > 0 for m in real)}, down in {sum(m < 0 for m in real)}).",
            ("effects",),
        )
    lost = [each.name for each in found if each.tuned.best_lr is None]
    if lost:
        yield Sentence(f"No usable learning rate: {'; '.join(lost)}.", ("combinations",))


def _main_table(found: Sequence[Combination], metric: str) -> Table:
    """A row per activation, a column for each of the other combinations."""
    places = dict.fromkeys(each.levels[1:] for each in found)
    records = []
    for activation in dict.fromkeys(each.levels[0] for each in found):
        record: dict[str, object] = {"activation": activation}
        for place in places:
            there = next((each for each in found if each.levels == (activation, *place)), None)
            name = ", ".join(place)
            record[f"{name}, mean"] = math.nan if there is None else there.tuned.mean
            record[f"{name}, spread"] = math.nan if there is None else there.tuned.spread
            record[f"{name}, edge"] = there is not None and there.tuned.edge
        records.append(record)
    columns = [words("activation", "activation")]
    columns += [Column(", ".join(place), _mean_of(", ".join(place))) for place in places]
    caption = (
        f"{metric}; means ± standard deviations over held-out seeds, each at its own learning rate;"
        " *: the best may lie beyond the learning rates tried"
    )
    return Table("activations", metric, tuple(columns), tuple(records), caption)


def _mean_of(place: str) -> Callable[[Record], str]:
    def show(record: Record) -> str:
        mean, spread = record[f"{place}, mean"], record[f"{place}, spread"]
        if math.isnan(mean):
            return "none"
        mark = "*" if record[f"{place}, edge"] else ""
        return f"{mean:.2f} ± {spread:.2f}{mark}".replace("-", "−")

    return show


def _combination_table(found: Sequence[Combination], metric: str) -> Table:
    records = tuple(
        {
            **dict(zip(FACTORS, each.levels, strict=True)),
            "lr": each.tuned.best_lr,
            "edge": each.tuned.edge,
            "score": each.tuned.score,
            "mean": each.tuned.mean,
            "spread": each.tuned.spread,
            "seeds": len(each.tuned.best),
            "runs": len(each.tuned.runs),
            "diverged": int((each.tuned.runs["status"] == "diverged").sum()),
        }
        for each in found
    )

    def rate(record: Record) -> str:
        return "none" if record["lr"] is None else rate_text(record["lr"])

    columns = (
        *(words(factor, factor) for factor in FACTORS),
        Column("best lr", lambda r: f"{rate(r)}{'*' if r['edge'] else ''}"),
        number("val loss", "score"),
        number(metric, "mean", ".2f"),
        number("±", "spread", ".2f"),
        number("runs", "runs", "d"),
        number("diverged", "diverged", "d"),
    )
    title = "every combination at its best lr"
    return Table("combinations", title, columns, records, numbered=True, detail=True)


def _effect_table(name: str, title: str, effects: Sequence[Effect]) -> Table:
    records = tuple(
        {
            "factor": each.factor,
            "change": each.name,
            "beside": each.beside,
            "difference": each.difference.mean,
            "low": each.difference.low,
            "high": each.difference.high,
            "pairs": each.difference.pairs,
            "p_value": each.p_value,
            "real": each.real,
        }
        for each in effects
    )
    columns = (
        words("change", "change"),
        words("beside", "beside"),
        Column(
            "difference",
            lambda r: f"{_signed(r['difference'])} [{_signed(r['low'])}, {_signed(r['high'])}]",
        ),
        Column("p, adjusted", lambda r: "" if math.isnan(r["p_value"]) else f"{r['p_value']:.2g}"),
        Column("told apart", _told_apart),
    )
    caption = (
        "differences of the test metric, paired by held-out seed, with 95 % intervals; p of"
        f" Student's paired test, adjusted to a false discovery rate of {DISCOVERY_RATE:.0%}, from"
        f" {SEEDS_NEEDED} seeds on"
    )
    return Table(name, title, columns, records, caption, detail=name == "behind")


def _told_apart(record: Record) -> str:
    if math.isnan(record["p_value"]):
        return "too few seeds"
    return "yes" if record["real"] else "no"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


EXPERIMENT = Experiment(report_activations, quick=("seed=0,1", "lr_octave=0,1", "max_steps=20"))
