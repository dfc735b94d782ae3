"""Launch a batch of jobs as stacks."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.utils import (
    JobReturn,
    configure_log,
    env_override,
    filter_overrides,
    setup_globals,
)
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from cvtrain.config.compose import Composer
from cvtrain.config.point import Point
from cvtrain.process.errors import InputError, SweepStopped
from cvtrain.process.signals import interruption
from cvtrain.sweeps.hydra_jobs import HydraJob, configured, job_overrides, returned
from cvtrain.sweeps.job_composer import JobComposer, sweep_composer
from cvtrain.sweeps.point_jobs import PointJobs
from cvtrain.sweeps.task_function import (
    composed_point,
    log_task,
    recorded_result,
    result_or_error,
)

if TYPE_CHECKING:
    from cvtrain.sweeps.dispatch import Ended
    from cvtrain.sweeps.executors.executor import Executor
    from cvtrain.training.job import Job
    from cvtrain.training.task import Tasks

log = logging.getLogger(__name__)


def check_launcher(executor: Executor, max_stack: object, job: DictConfig) -> None:
    """Check options of a launcher, also in combination.

    Args:
        executor: executor that the launcher made from its own options.
        max_stack: largest size of a stack.
        job: Hydra's configuration of jobs.

    Raises:
        InputError: an option is not valid; the message says what is allowed.
    """
    from cvtrain.sweeps.executors.executor import check_count

    check_count("hydra.launcher.max_stack", max_stack, default="what fits into memory")
    if job.chdir and not executor.here:
        raise InputError(
            "hydra.job.chdir=true: should be false where runs do not train in this one process;"
            " hydra/launcher=stacked hydra.launcher.workers=1 does"
        )


class JobBatch:
    """Trains one batch of jobs.

    The sweeper of cvtrain passes points that it has composed and checked (`launch_points`); other
    sweepers of Hydra pass overrides (`launch`).

    Args:
        context, config, task_function: arguments that Hydra passes to a launcher's `setup`.
        max_stack: largest size of a stack; None: limited by memory; 1: no stacks.
        executor: executor that trains the stacks.
    """

    def __init__(
        self,
        context: HydraContext,
        config: DictConfig,
        task_function: TaskFunction,
        max_stack: int | None,
        executor: Executor,
    ) -> None:
        self._context, self._config, self._task_function = context, config, task_function
        self._max_stack, self._executor = max_stack, executor
        self._has_callbacks = bool(getattr(context.callbacks, "callbacks", True))
        self._jobs: dict[int, HydraJob] = {}
        self._begun: dict[int, JobReturn] = {}
        self._returns: dict[int, JobReturn] = {}

    def launch(self, overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Train every job of a Hydra sweeper; `first` is the number of the first job.

        Returns:
            one job return per job, in the order of the jobs.

        Raises:
            InputError: a job does not fit the schema.
            SweepStopped: a run failed under ``on_error=stop``.
            Interrupted: a signal came.
        """
        self._set_up(len(overrides))
        composer = JobComposer(
            sweep_composer(self._context.config_loader, self._config), self._config
        )
        points = []
        for number, lines in enumerate(overrides, start=first):
            job = self._jobs[number] = self._job(composer, lines, number)
            with configured(job.config):
                points.append(composed_point(job.task))
        sweep = self._jobs[first].config.hydra.sweep
        return self._train(composer, points, Path(str(sweep.dir)).absolute())

    def launch_points(
        self, points: Sequence[Point], root: Path, tasks: Tasks, composer: Composer
    ) -> list[JobReturn]:
        """Train points of one sweep, whose tasks are known, into its directory `root`.

        Hydra's configuration of each job (0.2 MB and 20 ms) is composed only if callbacks need it.

        Returns:
            one job return per point, in their order, without configurations.

        Raises:
            SweepStopped: a run failed under ``on_error=stop``.
            Interrupted: a signal came.
        """
        self._set_up(len(points))
        settled = [
            # `resume` belongs to the command: a resumed run keeps its configuration.
            replace(p, config=p.config.settled(in_sweep=True).model_copy(update={"resume": None}))
            for p in points
        ]
        job_composer = JobComposer(composer, self._config)
        return self._train(job_composer, settled, root.absolute(), tasks, light=True)

    def _set_up(self, jobs: int) -> None:
        setup_globals()
        self._log_as_hydra()
        Path(str(self._config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        log.info("Launching %d jobs as stacks", jobs)

    def _train(
        self,
        composer: JobComposer,
        points: Sequence[Point],
        root: Path,
        tasks: Tasks | None = None,
        light: bool = False,
    ) -> list[JobReturn]:
        from cvtrain.runs.directory_lock import check_owner, owner
        from cvtrain.sweeps.dispatch import dispatch
        from cvtrain.sweeps.packing import describe, pack

        point_jobs = PointJobs(composer, root)
        if points[0].number in self._jobs:
            environment = self._jobs[points[0].number].environment
        else:
            environment = point_jobs.environment(points[0])
        chdir = bool(self._config.hydra.job.chdir)
        alone = "hydra.job.chdir gives every run a working directory" if chdir else None
        with env_override(environment), self._executor as executor:
            limits = self._max_stack, alone, executor.workers, executor.sharing
            jobs = pack(points, *limits, threads=executor.threads, root=root, tasks=tasks)
            for line in describe(jobs):
                print(f"cvtrain: {line}", file=sys.stderr)
            ended = dict(_ended(points, root))
            for number, value in ended.items():
                self._returns[number] = returned(value)
            waiting = [
                replace(job, points=tuple(p for p in job.points if p.number not in ended))
                for job in jobs
                if any(point.number not in ended for point in job.points)
            ]
            dispatch(
                waiting,
                executor,
                lambda number: self._begin(waiting[number], point_jobs),
                lambda number, outcome: self._end(waiting[number], outcome, light),
                partial(check_owner, root, owner(root)),
            )
        return [self._returns[number] for number in sorted(self._returns)]

    def _job(self, composer: JobComposer, overrides: Sequence[str], number: int) -> HydraJob:
        interruption.check()
        log.info("\t#%d : %s", number, " ".join(filter_overrides(overrides)))
        config = composer.compose(overrides, number)
        return HydraJob(config, self._context, self._task_function)

    def _begin(self, job: Job, point_jobs: PointJobs) -> None:
        for point in job.points:
            interruption.check()
            if self._has_callbacks and point.number not in self._jobs:
                lines = job_overrides(point, job.root)
                self._jobs[point.number] = self._job(point_jobs.composer, lines, point.number)
            if point.number in self._jobs:
                self._jobs[point.number].begin()
            else:
                self._begun[point.number] = point_jobs.begin(point)
            log_task(job.task, point.config)
        # A run that trains alone in this process writes to the log directly.
        if len(job.points) > 1 or not self._executor.here:
            self._log_as_hydra()

    def _end(self, job: Job, outcome: Ended, light: bool) -> None:
        from cvtrain.runs.journal import Journal
        from cvtrain.sweeps.executors.executor import WorkerLost

        values: Sequence[float | Exception]
        if isinstance(outcome, Exception):
            values = [outcome] * len(job.points)
        else:
            values = [result_or_error(record) for record in outcome]
        for point, value in zip(job.points, values, strict=True):
            if isinstance(value, WorkerLost):
                Journal(job.root).mark_failed(point, str(value))
            if point.number in self._jobs:
                ended = self._jobs.pop(point.number).end(value)
                # The configurations of thousands of runs would take a gigabyte.
                ended = replace(ended, cfg=None, hydra_cfg=None) if light else ended
            else:
                ended = returned(value, self._begun.pop(point.number))
            self._returns[point.number] = ended
        self._log_as_hydra()
        failed = next((value for value in values if isinstance(value, Exception)), None)
        if failed is not None and job.points[0].config.on_error == "stop":
            raise SweepStopped(job.points[0].directory) from failed

    def _log_as_hydra(self) -> None:
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)


def _ended(points: Sequence[Point], root: Path) -> Iterator[tuple[int, float]]:
    """Numbers and results of the points that an earlier call trained into their directories."""
    from cvtrain.runs.journal import Journal

    journal = Journal(root)
    for point in points:
        content = journal.ended(point)
        if content is not None:
            yield point.number, recorded_result(content)
