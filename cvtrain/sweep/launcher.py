"""Launching a batch of jobs as stacks."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.utils import (
    JobReturn,
    configure_log,
    env_override,
    filter_overrides,
    run_job,
    setup_globals,
)
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from cvtrain.errors import InputError, SweepStopped
from cvtrain.point import Point
from cvtrain.sweep.hydra_job import HydraJob
from cvtrain.sweep.job import composed_point, recorded_result, result
from cvtrain.sweep.job_composer import JobComposer

if TYPE_CHECKING:
    from cvtrain.sweep.packing import Pack

log = logging.getLogger(__name__)


def check_max_stack(max_stack: object) -> None:
    """Refuse what is no largest size of a stack.

    Raises:
        InputError: with what is allowed.
    """
    counts = isinstance(max_stack, int) and not isinstance(max_stack, bool) and max_stack >= 1
    if max_stack is not None and not counts:
        raise InputError(
            f"hydra.launcher.max_stack={max_stack}: should be an integer of at least 1, or null"
        )


def check_workers(workers: object, chdir: bool) -> None:
    """Refuse what is no number of processes.

    Raises:
        InputError: with what is allowed.
    """
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise InputError(
            f"hydra.launcher.workers={workers}: should be an integer of at least 1, the processes"
        )
    if workers > 1 and chdir:
        raise InputError(
            f"hydra.launcher.workers={workers}: hydra.job.chdir=true needs this one process; leave"
            " one of them out"
        )


class StackLaunch:
    """One batch of jobs, as a launcher gets it from a sweeper.

    Args:
        context, config, task_function: what Hydra gives a launcher at its set-up.
        max_stack: largest size of a stack; None: what fits into memory; 1: no stacks.
        workers: processes that train side by side; 1: this one.
    """

    def __init__(
        self,
        context: HydraContext,
        config: DictConfig,
        task_function: TaskFunction,
        max_stack: int | None,
        workers: int = 1,
    ) -> None:
        self._context, self._config, self._task_function = context, config, task_function
        check_max_stack(max_stack)
        check_workers(workers, bool(config.hydra.job.chdir))
        self._max_stack, self._workers = max_stack, workers

    def launch(self, overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Train every job; `first` is the number of the first one.

        Returns:
            one job return per job, in the order of the jobs.

        Raises:
            SweepStopped: a run failed under ``on_error=stop``.
            Interrupted: a signal came.
        """
        from cvtrain.sweep.packing import describe, pack

        setup_globals()
        self._log_as_hydra()
        Path(str(self._config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        log.info("Launching %d jobs as stacks", len(overrides))
        jobs = self._compose(overrides, first)
        points = []
        for job in jobs:
            with job.configured():
                points.append(composed_point(job.task))
        chdir = bool(self._config.hydra.job.chdir)
        alone = "hydra.job.chdir gives every run a working directory" if chdir else None
        packs = pack(points, self._max_stack, alone, self._workers)
        for line in describe(packs):
            print(f"cvtrain: {line}", file=sys.stderr)
        by_number = {point.number: job for point, job in zip(points, jobs, strict=True)}
        returns: dict[int, JobReturn] = {}
        root = Path(str(jobs[0].config.hydra.sweep.dir)).absolute()
        ended = dict(_ended(points, root))
        for number, value in ended.items():
            returns[number] = by_number[number].kept(value)
        left = [
            replace(each, points=tuple(p for p in each.points if p.number not in ended))
            for each in packs
        ]
        left = [each for each in left if each.points]
        if self._workers > 1:
            returns |= self._run_side_by_side(left, by_number, root)
            left = []
        for each in left:
            waiting = each.points
            chosen = [by_number[point.number] for point in waiting]
            if each.engine == "single":
                returned = [self._run_alone(chosen[0])]
            else:
                returned = self._run_stack(chosen, waiting)
            returns |= dict(zip((p.number for p in waiting), returned, strict=True))
            self._log_as_hydra()
        return [returns[number] for number in sorted(returns)]

    def _compose(self, overrides: Sequence[Sequence[str]], first: int) -> list[HydraJob]:
        composer = JobComposer(self._context.config_loader, self._config)
        jobs = []
        for number, lines in enumerate(overrides, start=first):
            log.info("\t#%d : %s", number, " ".join(filter_overrides(lines)))
            config = composer.compose(lines, number)
            jobs.append(HydraJob(config, self._context, self._task_function))
        return jobs

    def _run_alone(self, job: HydraJob) -> JobReturn:
        return run_job(
            hydra_context=self._context,
            task_function=self._task_function,
            config=job.config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )

    def _run_stack(self, jobs: Sequence[HydraJob], points: Sequence[Point]) -> list[JobReturn]:
        from cvtrain.engine.train import StackJob, log_task, train

        outcomes: Sequence[float | Exception]
        with env_override(jobs[0].environment):
            for job, point in zip(jobs, points, strict=True):
                job.begin()
                log_task(point.config)
            self._log_as_hydra()
            root = Path(str(jobs[0].config.hydra.sweep.dir)).absolute()
            try:
                records = train(StackJob(tuple(points), root, "stack"))
                outcomes = [result(record) for record in records]
            except Exception as error:
                outcomes = [error] * len(points)
        returned = [job.end(outcome) for job, outcome in zip(jobs, outcomes, strict=True)]
        if isinstance(outcomes[0], Exception) and points[0].config.on_error == "stop":
            raise SweepStopped(points[0].directory) from outcomes[0]
        return returned

    def _run_side_by_side(
        self, packs: Sequence[Pack], jobs: Mapping[int, HydraJob], root: Path
    ) -> dict[int, JobReturn]:
        from cvtrain.engine.train import StackJob, log_task
        from cvtrain.record.journal import Journal
        from cvtrain.sweep.processes import Outcome, WorkerLost, train_side_by_side

        returns: dict[int, JobReturn] = {}

        def begun(place: int) -> None:
            for point in packs[place].points:
                jobs[point.number].begin()
                log_task(point.config)
            self._log_as_hydra()

        def ended(place: int, outcome: Outcome) -> None:
            points = packs[place].points
            if isinstance(outcome, WorkerLost):
                for point in points:
                    Journal(root).lose(point, str(outcome))
            values: Sequence[float | Exception]
            if isinstance(outcome, Exception):
                values = [outcome] * len(points)
            else:
                values = [result(record) for record in outcome]
            for point, value in zip(points, values, strict=True):
                returns[point.number] = jobs[point.number].end(value)
            if isinstance(outcome, Exception) and points[0].config.on_error == "stop":
                raise SweepStopped(points[0].directory) from outcome

        trained = [StackJob(each.points, root, each.engine) for each in packs]
        first = jobs[packs[0].points[0].number] if packs else None
        with env_override(first.environment) if first is not None else nullcontext():
            train_side_by_side(trained, self._workers, begun, ended)
        return returns

    def _log_as_hydra(self) -> None:
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)


def _ended(points: Sequence[Point], root: Path) -> Iterator[tuple[int, float]]:
    """Numbers and results of the points that an earlier call trained into their directories."""
    from cvtrain.record.journal import Journal

    journal = Journal(root)
    for point in points:
        content = journal.ended(point)
        if content is not None:
            yield point.number, recorded_result(content)
