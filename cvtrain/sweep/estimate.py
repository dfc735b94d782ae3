"""`plan=true`: what would run, how large it is, and how long it would take."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.table import Table

from cvtrain.config import Config
from cvtrain.engine.train import StackJob, train
from cvtrain.point import Point
from cvtrain.task import describe_task, load_dataset
from cvtrain.trial import structure

CALIBRATION_STEPS = (20, 60)
"""Updates of two short trainings; their difference is the cost of a step, the rest of a run."""
LISTED = 12


@dataclass(frozen=True)
class Cost:
    """Time and disk of one run."""

    seconds: float
    bytes: float


def show_plan(points: Sequence[Point]) -> None:
    """Print the points and what training them would cost, by training a little of each kind."""
    console = Console()
    groups: dict[str, list[Point]] = {}
    for point in points:
        key = structure(point.config) + point.config.optimizer.target
        groups.setdefault(key, []).append(point)
    seconds = size = 0.0
    for group in groups.values():
        cost = measure_cost(group[0].config)
        for line in describe_task(group[0].config):
            console.print(line, highlight=False, soft_wrap=True)
        console.print(
            f"{len(group)} points × {group[0].config.max_steps} steps, about {cost.seconds:.1f} s"
            f" and {cost.bytes / 1e3:.0f} kB each",
            highlight=False,
        )
        seconds += cost.seconds * len(group)
        size += cost.bytes * len(group)
    table = Table(title="points", title_justify="left")
    table.add_column("run directory", overflow="fold")
    table.add_column("lr", justify="right")
    table.add_column("id")
    for point in points[:LISTED]:
        table.add_row(point.directory or "(single run)", f"{point.config.optimizer.lr:g}", point.id)
    console.print(table)
    if len(points) > LISTED:
        console.print(f"… and {len(points) - LISTED} more")
    console.print(
        f"{len(points)} points, about {seconds / 60:.1f} minutes and {size / 1e6:.1f} MB"
        " on this machine; nothing has been trained or written (plan=true)",
        highlight=False,
    )


def measure_cost(config: Config) -> Cost:
    """Time and disk of a run of `config`, from two short ones in a temporary directory."""
    short, long = (_trial(config, min(steps, config.max_steps)) for steps in CALIBRATION_STEPS)
    steps = [min(steps, config.max_steps) for steps in CALIBRATION_STEPS]
    if steps[0] == steps[1]:
        return long
    share = (config.max_steps - steps[1]) / (steps[1] - steps[0])
    return Cost(
        seconds=long.seconds + share * max(long.seconds - short.seconds, 0.0),
        bytes=long.bytes + share * max(long.bytes - short.bytes, 0.0),
    )


def _trial(config: Config, steps: int) -> Cost:
    load_dataset(config)
    shortened = config.model_copy(update={"max_steps": steps})
    with tempfile.TemporaryDirectory() as root:
        point = Point(0, shortened, (), "trial")
        began = perf_counter()
        train(StackJob((point,), Path(root)))
        seconds = perf_counter() - began
        size = sum(file.stat().st_size for file in Path(root).rglob("*") if file.is_file())
    return Cost(seconds, float(size))
