"""What the experiment `split_vs_modulus` found: two semantics, each at its own learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from cvtrain.laws.rotation import CANDIDATES, EIGHTH, QUARTER, rotation_error
from cvtrain.report.compare import Difference, best_rate, paired_difference, split_seeds
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
from cvtrain.report.equivalence import constant
from cvtrain.report.figures.style import (
    COLOURS,
    DASHES,
    MARKERS,
    legend_below,
    light_grid,
    new_figure,
    paper_style,
)
from cvtrain.report.load import Sweep
from cvtrain.report.sentences import rate_text

DISCOVERY_RATE = 0.05
"""Share of false ones among the differences that are called so (Benjamini and Hochberg 1995)."""
ACCURACY, DECIBELS = "test accuracy, %", "test NMSE, dB"
SEMANTICS = ("split", "modulus")
TURNS = 1e-12
"""Largest relative error of a rule that turns with the plane."""


@dataclass(frozen=True, eq=False)
class Contest:
    """Split against modulus on one task with one optimizer.

    Attributes:
        task, optimizer: what was trained.
        metric: `ACCURACY` or `DECIBELS`.
        best_lr: of split and of modulus, on the tuning seeds; None without a usable one.
        edge: whether one of them is the smallest or largest that was tried.
        means: the metric of either at its own learning rate, over the held-out seeds.
        spreads: standard deviations of that.
        difference: modulus less split, paired by held-out seed.
        p_value: of Student's paired test of no difference; NaN where the test has no say.
        runs: all of its rows, with columns `metric`, `score`, `judged` and `optimizer.semantics`.
    """

    task: str
    optimizer: str
    metric: str
    best_lr: tuple[float | None, float | None]
    edge: bool
    means: tuple[float, float]
    spreads: tuple[float, float]
    difference: Difference
    p_value: float
    runs: pd.DataFrame

    @property
    def octaves(self) -> float:
        """From split's best learning rate to modulus's."""
        split, modulus = self.best_lr
        return math.nan if split is None or modulus is None else math.log2(modulus / split)


def contests(sweep: Sweep) -> list[Contest]:
    """Every task and optimizer of which runs have begun."""
    runs = sweep.runs[sweep.runs["status"] != "missing"].copy()
    finished = runs["status"] == "finished"
    runs["score"] = runs["val/loss"].where(finished, math.inf).fillna(math.inf)
    grouped = runs.groupby(["variant", "optimizer._target_"], sort=False)
    return [_contest(str(task), str(target), rows) for (task, target), rows in grouped]


def report_semantics(sweep: Sweep) -> Document:
    """Which rules turn with the plane, and what the semantics change."""
    errors = {c.name: (rotation_error(c, QUARTER), rotation_error(c, EIGHTH)) for c in CANDIDATES}
    found = contests(sweep)
    picture = Picture(
        "split_vs_modulus", "Test metric of held-out seeds over the learning rate", curves(found)
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
    tested = [each for each in found if not math.isnan(each.p_value)]
    if tested:
        adjusted = stats.false_discovery_control([each.p_value for each in tested])
        pairs = list(zip(tested, adjusted, strict=True))
        differ = [each for each, p in pairs if p <= DISCOVERY_RATE]
        told.append(
            f"{len(differ)} of {len(tested)} differences show at a false discovery rate of"
            f" {DISCOVERY_RATE:.0%}{': ' if differ else ''}{'; '.join(map(_told, differ))}."
        )
    return told


@paper_style
def curves(found: Sequence[Contest]) -> Figure:
    """A row per task, a column per optimizer: the metric of held-out seeds over learning rates."""
    tasks = list(dict.fromkeys(each.task for each in found))
    optimizers = list(dict.fromkeys(each.optimizer for each in found))
    figure = new_figure(len(optimizers), 0.85 * len(tasks), extra=0.3)
    grid = figure.subplots(len(tasks), len(optimizers), squeeze=False)
    for each in found:
        axes = grid[tasks.index(each.task), optimizers.index(each.optimizer)]
        for place, semantics in enumerate(SEMANTICS):
            _curve(axes, each, place, semantics)
        axes.set_title(f"{each.task}: {each.optimizer}", fontsize=7)
        axes.set_xscale("log", base=2)
        axes.set_ylabel(each.metric)
        light_grid(axes)
    for axes in grid[-1]:
        axes.set_xlabel("learning rate")
    legend_below(figure)
    return figure


def _curve(axes: Axes, contest: Contest, place: int, semantics: str) -> None:
    runs = contest.runs
    own = runs[runs["judged"] & (runs["optimizer.semantics"] == semantics)]
    by_rate = own.groupby("optimizer.lr")
    whole = by_rate["score"].max() < math.inf
    values = by_rate["metric"].agg(["mean", "min", "max"])[whole]
    lr = values.index.to_numpy(dtype=float)
    colour = COLOURS[place]
    axes.plot(
        lr,
        values["mean"],
        color=colour,
        linestyle=DASHES[place],
        marker=MARKERS[place],
        markersize=3,
        label=semantics,
    )
    axes.fill_between(lr, values["min"], values["max"], color=colour, alpha=0.12, linewidth=0)
    best = contest.best_lr[place]
    if best is not None:
        axes.axvline(best, color=colour, linestyle=DASHES[place], linewidth=0.8, alpha=0.7)


def _contest(task: str, target: str, rows: pd.DataFrame) -> Contest:
    accuracy = "test/accuracy" in rows and rows["test/accuracy"].notna().any()
    rows = rows.assign(
        metric=100 * rows["test/accuracy"] if accuracy else 10 * np.log10(rows["test/nmse"])
    )
    tuning, held_out = split_seeds(rows)
    rows = rows.assign(judged=rows["seed"].isin(held_out or tuning))
    sides = [rows[rows["optimizer.semantics"] == semantics] for semantics in SEMANTICS]
    best = [best_rate(side[side["seed"].isin(tuning)]) for side in sides]
    split, modulus = (
        side[(side["optimizer.lr"] == lr) & side["judged"]]
        for side, lr in zip(sides, best, strict=True)
    )
    paired = split.merge(modulus, on="seed", suffixes=("", "_other"))
    apart = (paired["metric_other"] - paired["metric"]).dropna().to_numpy(dtype=np.float64)
    varied = len(apart) > 1 and not constant(apart)
    rates = rows["optimizer.lr"]
    return Contest(
        task=task,
        optimizer=target.rsplit(".", 1)[-1],
        metric=ACCURACY if accuracy else DECIBELS,
        best_lr=(best[0], best[1]),
        edge=any(lr in (rates.min(), rates.max()) for lr in best),
        means=(float(split["metric"].mean()), float(modulus["metric"].mean())),
        spreads=(float(split["metric"].std()), float(modulus["metric"].std())),
        difference=paired_difference(split, modulus, "metric"),
        p_value=float(stats.ttest_1samp(apart, 0.0).pvalue) if varied else math.nan,
        runs=rows,
    )


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
            "lr_split": each.best_lr[0],
            "lr_modulus": each.best_lr[1],
            "edge": each.edge,
            "split": each.means[0],
            "split_spread": each.spreads[0],
            "modulus": each.means[1],
            "modulus_spread": each.spreads[1],
            "difference": each.difference.mean,
            "low": each.difference.low,
            "high": each.difference.high,
            "pairs": each.difference.pairs,
            "p_value": each.p_value,
        }
        for each in found
    ]

    def rate(record: Record, key: str) -> str:
        mark = "*" if record["edge"] else ""
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
