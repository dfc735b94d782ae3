"""`plan=true`: list the points, their size, and the estimated time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter

import torch
from rich.table import Table

from cvtrain.config.point import Point
from cvtrain.config.schema import Config
from cvtrain.process.plain_console import PlainConsole
from cvtrain.runs.storage_errors import trial_directory
from cvtrain.sweeps.packing import describe, pack
from cvtrain.training import run_job
from cvtrain.training.job import Job
from cvtrain.training.task import Task, Tasks
from cvtrain.training.train import train

CALIBRATION_STEPS = 60
"""Updates of the longer of two short trainings; the other has a third of them. Their difference
gives the cost of a step, the rest is the cost of a run."""
CALIBRATION_RUNS = 32
MOST_ACCUMULATED = 8
"""Largest number of batches per update in these trainings; for more, the cost is scaled up."""
PATIENCE = 30.0
"""Seconds for the updates of these trainings; slower ones end before their last update."""
LEAST_PATIENCE = 4.0
"""Smallest number of these seconds per kind of run, however many kinds there are. With less the
validation before the first update would be counted as the cost of an update."""
TIMER = "lightning.pytorch.callbacks.Timer"
LISTED = 12


@dataclass(frozen=True)
class Cost:
    """Time and disk of one run."""

    seconds: float
    bytes: float


@dataclass(frozen=True)
class _Trial(Cost):
    """The cost of each run of a short training.

    Attributes:
        updates: number of updates made, at most as many as requested.
        slow: whether it ended because the time was up.
    """

    updates: int
    slow: bool


def show_plan(
    points: Sequence[Point],
    max_stack: int | None,
    tasks: Tasks,
    workers: int = 1,
    threads: int | None = None,
) -> None:
    """Print the points and the estimated cost of training them, from short trainings of each kind.

    Args:
        points: points of a sweep, or one point.
        tasks: tasks of the points.
        max_stack, workers, threads: as for `cvtrain.sweeps.packing.pack`. If `threads` is None,
            the estimate assumes that several workers take as long side by side as one after
            another.
    """
    console = PlainConsole()
    jobs = pack(points, max_stack, workers=workers, threads=threads, tasks=tasks)
    beside = 1 if threads is None else min(workers, len(jobs))
    kinds: dict[tuple[Task, str, str], list[Job]] = {}
    for job in jobs:
        optimizer = job.points[0].config.optimizer.target
        kinds.setdefault((job.task, optimizer, job.engine), []).append(job)
    seconds = size = 0.0
    for kind in kinds.values():
        config, runs = kind[0].points[0].config, sum(len(job.points) for job in kind)
        with _threads_set(threads):
            cost = measure_cost(kind[0], max(PATIENCE / len(kinds), LEAST_PATIENCE))
        for line in kind[0].task.describe(config):
            console.print(line, soft_wrap=True)
        console.print(
            f"{counted(runs)} × {config.max_steps} steps, about {cost.seconds:.1f} s"
            f" and {cost.bytes / 1e3:.0f} kB each",
        )
        seconds += cost.seconds * runs / beside
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
        f"{counted(len(points))}, about {seconds / 60:.1f} minutes and {size / 1e6:.1f} MB"
        " on this machine; nothing has been trained or written (plan=true)",
    )


@contextmanager
def _threads_set(threads: int | None) -> Iterator[None]:
    """Context in which torch has this number of threads; None: the number is not changed."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def counted(points: int) -> str:
    """E.g. ``1 point``, ``8 points``."""
    return f"{points} point{'' if points == 1 else 's'}"


def measure_cost(kind: Job, patience: float = PATIENCE) -> Cost:
    """Time and disk space of one run of a job, from two short trainings in a temporary directory of
    a part of its points.

    Args:
        kind: the job.
        patience: seconds for the updates of both trainings; after a slow one the other is left out.
    """
    points, _ = kind.points[:CALIBRATION_RUNS], kind.task.dataset  # make the data before timing
    planned = points[0].config.max_steps
    accumulated = int(points[0].config.trainer.get("accumulate_grad_batches") or 1)
    batches = min(accumulated, MOST_ACCUMULATED)
    long = min(CALIBRATION_STEPS, planned)
    short = max(long // 3, 1)

    def trial(steps: int) -> _Trial:
        configs = [_shortened(point.config, steps, batches, patience / 2) for point in points]
        tried = [Point(k, config, (), f"trial{k}") for k, config in enumerate(configs)]
        return _trial(replace(kind, points=tuple(tried)), patience / 2)

    first = trial(short)
    last = first if first.slow else trial(long)
    made = last.updates - first.updates
    if made > 0:
        step = max(last.seconds - first.seconds, 0.0) / made
        bytes_of_step = max(last.bytes - first.bytes, 0.0) / made
    else:  # only the mean over the updates made is known
        step, bytes_of_step = last.seconds / max(last.updates, 1), 0.0
    # A run that ended by itself, e.g. because it diverged, would do so again.
    updates = planned if last.slow or last.updates == long else last.updates
    rest = max(last.seconds - last.updates * step, 0.0)
    return Cost(
        seconds=rest + updates * step * accumulated / batches,
        bytes=last.bytes + (updates - last.updates) * bytes_of_step,
    )


def _shortened(config: Config, steps: int, batches: int, patience: float) -> Config:
    """A copy with this number of updates, or as many as `patience` seconds allow."""
    # Lightning's timer takes whole seconds.
    timer = {"_target_": TIMER, "duration": {"milliseconds": round(1000 * patience)}}
    callbacks = [*(config.trainer.get("callbacks") or ()), timer]
    changed = {"accumulate_grad_batches": batches, "callbacks": callbacks}
    tried = config.tried(steps)
    return tried.model_copy(update={"trainer": {**config.trainer, **changed}})


def _trial(job: Job, patience: float) -> _Trial:
    with trial_directory() as root, _early_ends_untold():
        began = perf_counter()
        records = train(replace(job, root=root))
        seconds = perf_counter() - began
        size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    runs, updates = len(job.points), max(record.steps for record in records)
    slow = seconds >= patience and updates < job.points[0].config.max_steps
    return _Trial(seconds / runs, size / runs, updates, slow)


@contextmanager
def _early_ends_untold() -> Iterator[None]:
    """Context without warnings that the timer ended a run."""
    logger = logging.getLogger(run_job.__name__)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
