"""What the experiment `split_vs_modulus` found: two semantics, each at its own learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table
from scipy import stats

from cvtrain.laws.rotation import CANDIDATES, EIGHTH, QUARTER, rotation_error
from cvtrain.report.compare import Difference, best_rate, constant, paired_difference
from cvtrain.report.figures import COLOURS, DASHES, MARKERS, PANEL, new_figure, save_figure
from cvtrain.report.load import Sweep, load
from cvtrain.report.terminal import FOLDER, summary_console

TUNING_SEEDS = 6
"""Runs with a smaller seed choose the learning rate; the others are compared."""
DISCOVERY_RATE = 0.05
"""Share of false ones among the differences that are called so (Benjamini and Hochberg 1995)."""
ACCURACY, DECIBELS = "test accuracy, %", "test NMSE, dB"
SEMANTICS = ("split", "modulus")


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
        runs: all of its rows, with columns `metric`, `score` and `optimizer.semantics`.
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


def print_semantics(directory: Path) -> str | None:
    """Print which rules turn with the plane and what the semantics change, and draw it.

    Returns:
        what does not hold of the turning of rules, in one line, or None.
    """
    console = summary_console()
    errors = {c.name: (rotation_error(c, QUARTER), rotation_error(c, EIGHTH)) for c in CANDIDATES}
    console.print(_rotation_table(errors))
    found = contests(load(directory))
    console.print(_contest_table(found))
    for sentence in describe(found):
        console.print(sentence, highlight=False, markup=False)
    for path in save_figure(curves(found), directory / FOLDER / "split_vs_modulus"):
        console.print(f"picture: {path}", highlight=False, markup=False, soft_wrap=True)
    broken = [
        name
        for name, (quarter, eighth) in errors.items()
        if quarter != 0 or ("split" in name) == (eighth < 1e-12)
    ]
    return f"turning with the plane: {', '.join(broken)} not as predicted" if broken else None


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


def curves(found: Sequence[Contest]) -> Figure:
    """A row per task, a column per optimizer: the metric of held-out seeds over learning rates."""
    tasks = list(dict.fromkeys(each.task for each in found))
    optimizers = list(dict.fromkeys(each.optimizer for each in found))
    figure = new_figure(PANEL[0] * len(optimizers), 0.85 * PANEL[1] * len(tasks) + 0.4)
    grid = figure.subplots(len(tasks), len(optimizers), squeeze=False)
    for each in found:
        axes = grid[tasks.index(each.task), optimizers.index(each.optimizer)]
        for place, semantics in enumerate(SEMANTICS):
            _curve(axes, each, place, semantics)
        axes.set_title(f"{each.task}: {each.optimizer}", fontsize=10)
        axes.set_xscale("log", base=2)
        axes.set_ylabel(each.metric, fontsize=9)
        axes.grid(visible=True, alpha=0.3, linewidth=0.5)
    for axes in grid[-1]:
        axes.set_xlabel("learning rate")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _curve(axes: Axes, contest: Contest, place: int, semantics: str) -> None:
    rows = _held_out(contest.runs)
    own = rows[rows["optimizer.semantics"] == semantics]
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
        markersize=4,
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
    sides = [rows[rows["optimizer.semantics"] == semantics] for semantics in SEMANTICS]
    best = [best_rate(side[side["seed"] < TUNING_SEEDS]) for side in sides]
    split, modulus = (
        _held_out(side[side["optimizer.lr"] == lr]) for side, lr in zip(sides, best, strict=True)
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


def _held_out(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["seed"] >= TUNING_SEEDS]


def _told(contest: Contest) -> str:
    better = (contest.difference.mean > 0) == (contest.metric == ACCURACY)
    return (
        f"{contest.task}, {contest.optimizer}: {'modulus' if better else 'split'} better by"
        f" {abs(contest.difference.mean):.2g} {contest.metric.split(', ')[1]}"
    )


def _rotation_table(errors: dict[str, tuple[float, float]]) -> Table:
    table = Table(title="turning every weight by φ: largest relative error", title_justify="left")
    table.add_column("rule")
    for column in ("φ = π/2", "φ = π/4", "turns with the plane"):
        table.add_column(column, justify="right")
    for name, (quarter, eighth) in errors.items():
        shown = "0" if quarter == 0 else f"{quarter:.1e}"
        table.add_row(name, shown, f"{eighth:.1e}", "yes" if eighth < 1e-12 else "no")
    return table


def _contest_table(found: Sequence[Contest]) -> Table:
    table = Table(title="split against modulus, each at its best lr", title_justify="left")
    for column in ("task", "optimizer"):
        table.add_column(column)
    numbers = ("lr split", "lr modulus", "split", "modulus", "modulus − split")
    for column in numbers:
        table.add_column(column, justify="right")
    for each in found:
        lrs = ("none" if lr is None else _rate(lr) for lr in each.best_lr)
        values = (f"{m:.2f} ± {s:.2f}" for m, s in zip(each.means, each.spreads, strict=True))
        d = each.difference
        cells = (*values, f"{d.mean:+.2f} [{d.low:+.2f}, {d.high:+.2f}]")
        table.add_row(
            each.task,
            each.optimizer,
            *(f"{lr}{'*' if each.edge else ''}" for lr in lrs),
            *(cell.replace("-", "−") for cell in cells),
        )
    pairs = {each.difference.pairs for each in found}
    table.caption = (
        "test accuracy in % (digits), test NMSE in dB (the others); means ± standard deviations"
        f" over {' to '.join(map(str, sorted({min(pairs), max(pairs)})))} held-out seeds;"
        " differences paired, with 95 % intervals; *: the best may lie beyond the learning rates"
        " tried"
    )
    table.caption_justify = "left"
    return table


def _rate(lr: float) -> str:
    return f"2^{round(math.log2(lr), 1):g}"
