"""The summary that ends a sweep: a table and a few sentences per optimizer, and a picture."""

from __future__ import annotations

import math
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cvtrain.report.compare import Arm, Comparison, Group, compare
from cvtrain.report.figures import learning_rate_curves, save_figure
from cvtrain.report.load import load
from cvtrain.report.sentences import describe_group, rate_text

FOLDER = "report"
WIDTH = 118
"""Columns, where the output is not a terminal."""


def print_summary(directory: Path) -> None:
    """Read the sweep in `directory`, print what it says, and draw its learning-rate curves.

    Raises:
        InputError: there is no run in it.
    """
    console = summary_console()
    sweep = load(directory)
    comparison = compare(sweep)
    missing = int((sweep.runs["status"] == "missing").sum())
    if missing:
        console.print(f"{missing} of {len(sweep.runs)} runs have not begun", highlight=False)
    for group in comparison.groups:
        console.print(group_table(group))
        for sentence in describe_group(group):
            console.print(sentence, highlight=False, markup=False)
        console.print()
    for path in save_curves(comparison, directory / FOLDER):
        console.print(f"picture: {path}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"look:    tensorboard --logdir {directory}", highlight=False, soft_wrap=True)


def summary_console() -> Console:
    """Where summaries go: standard output, of a known width where it is not a terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


def save_curves(comparison: Comparison, folder: Path) -> list[Path]:
    """Write the learning-rate curves, where there is more than one learning rate to draw."""
    if not comparison.groups or comparison.runs["optimizer.lr"].nunique() < 2:
        return []
    return save_figure(learning_rate_curves(comparison), folder / "learning_rates")


def group_table(group: Group) -> Table:
    """One row per arm, at its best learning rate."""
    metric = group.metric.removeprefix("test/")
    table = Table(title=group.name, title_justify="left")
    table.add_column("arm", no_wrap=True)
    headings = ("best lr", "val loss", f"test {metric}", f"steps to {group.goal}")
    for heading in (*headings, "runs", "diverged", "not learned"):
        table.add_column(heading, justify="right")
    for arm in group.arms:
        table.add_row(*_cells(arm, metric))
    if any(arm.edge for arm in group.arms):
        table.caption = "* the smallest or largest learning rate tried: the best may lie beyond"
        table.caption_justify = "left"
    return table


def _cells(arm: Arm, metric: str) -> list[str]:
    runs = str(arm.runs)
    if arm.failed:
        runs += f" ({arm.failed} failed)"
    if arm.unfinished:
        runs += f" ({arm.unfinished} unfinished)"
    counts = [runs, str(arm.diverged), str(arm.not_learned)]
    if arm.best_lr is None:
        return [arm.name, "none", "", "", "", *counts]
    percent = metric == "accuracy"
    mean, spread = (100 * x if percent else x for x in (arm.test_mean, arm.test_spread))
    digits = ".2f" if percent else ".4g"
    test = f"{mean:{digits}}" + ("" if math.isnan(spread) else f" ± {spread:{digits}}")
    steps = "never" if math.isinf(arm.steps_to_target) else f"{arm.steps_to_target:g}"
    rate = f"{rate_text(arm.best_lr)}{'*' if arm.edge else ''}"
    return [arm.name, rate, f"{arm.score:.4g}", f"{test} %" if percent else test, steps, *counts]
