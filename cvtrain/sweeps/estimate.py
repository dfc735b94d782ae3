"""`plan=true`: what would run, how large it is, and how long it would take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from rich.table import Table

from cvtrain.config.point import Point
from cvtrain.process.plain_console import PlainConsole
from cvtrain.runs.storage_errors import trial_directory
from cvtrain.sweeps.packing import describe, pack
from cvtrain.training.job import Job
from cvtrain.training.task import Task, Tasks
from cvtrain.training.train import train

CALIBRATION_STEPS = (20, 60)
"""Updates of two short trainings; their difference is the cost of a step, the rest of a run."""
CALIBRATION_RUNS = 32
LISTED = 12


@dataclass(frozen=True)
class Cost:
    """Time and disk of one run."""

    seconds: float
    bytes: float


def show_plan(
    points: Sequence[Point], max_stack: int | None, tasks: Tasks, workers: int = 1
) -> None:
    """Print the points and what training them would cost, by training a little of each kind.

    Args:
        points: of a sweep, or one.
        tasks: of the points.
        max_stack, workers: as for `cvtrain.sweeps.packing.pack`; what workers train side by side
            takes as long here as one after another.
    """
    console = PlainConsole()
    jobs = pack(points, max_stack, workers=workers, tasks=tasks)
    kinds: dict[tuple[Task, str, str], list[Job]] = {}
    for job in jobs:
        optimizer = job.points[0].config.optimizer.target
        kinds.setdefault((job.task, optimizer, job.engine), []).append(job)
    seconds = size = 0.0
    for kind in kinds.values():
        config, runs = kind[0].points[0].config, sum(len(job.points) for job in kind)
        cost = measure_cost(kind[0])
        for line in kind[0].task.describe(config):
            console.print(line, soft_wrap=True)
        console.print(
            f"{runs} points × {config.max_steps} steps, about {cost.seconds:.1f} s"
            f" and {cost.bytes / 1e3:.0f} kB each",
        )
        seconds += cost.seconds * runs
        size += cost.bytes * runs
    for line in describe(jobs) if len(points) > 1 else []:
        console.print(line, soft_wrap=True)
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
    )


def measure_cost(kind: Job) -> Cost:
    """Time and disk of one run of a job, from two short trainings in a temporary directory, of as
    many of its points as tell what a run's share is."""
    points = kind.points[:CALIBRATION_RUNS]
    planned = points[0].config.max_steps
    short, long = (min(steps, planned) for steps in CALIBRATION_STEPS)
    costs = [_trial(replace(kind, points=points), steps) for steps in (short, long)]
    if short == long:
        return costs[1]
    share = (planned - long) / (long - short)
    return Cost(
        seconds=costs[1].seconds + share * max(costs[1].seconds - costs[0].seconds, 0.0),
        bytes=costs[1].bytes + share * max(costs[1].bytes - costs[0].bytes, 0.0),
    )


def _trial(job: Job, steps: int) -> Cost:
    points, _ = job.points, job.task.dataset  # read before the clock starts
    shortened = tuple(
        Point(k, point.config.tried(steps), (), f"trial{k}") for k, point in enumerate(points)
    )
    with trial_directory() as root:
        began = perf_counter()
        train(replace(job, points=shortened, root=root))
        seconds = perf_counter() - began
        size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    return Cost(seconds / len(points), size / len(points))
