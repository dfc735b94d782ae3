"""The launchers, in the place where Hydra looks for them; `cvtrain.sweeps.launcher` does the work.

Hydra imports this file at every start, also for `--help`: import nothing heavy here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from cvtrain.config.compose import Composer
    from cvtrain.config.point import Point
    from cvtrain.sweeps.executors.executor import Executor
    from cvtrain.sweeps.launcher import JobBatch
    from cvtrain.training.task import Tasks


class ExecutorLauncher(Launcher):
    """Trains the jobs of a batch that differ only in numbers as one computation.

    Args:
        max_stack: largest number of runs in one stack; None: limited by memory; 1: no stacks.
        options: options of the executor.
    """

    def __init__(self, max_stack: int | None = None, **options: Any) -> None:
        super().__init__()
        self.max_stack, self._options = max_stack, options

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Store the arguments, which Hydra passes once before the first batch."""
        self.hydra_context, self.task_function = hydra_context, task_function
        self.config = config

    def executor(self, tasks: Tasks | None = None) -> Executor:
        """The executor that trains the stacks.

        Args:
            tasks: tasks of the checked points; None: they are not known yet.

        Raises:
            InputError: an option of the launcher is wrong.
        """
        from cvtrain.sweeps.launcher import check_launcher

        assert self.config is not None
        executor = self._executor(self.config.hydra.job, tasks)
        check_launcher(executor, self.max_stack, self.config.hydra.job)
        return executor

    @abstractmethod
    def _executor(self, job: DictConfig, tasks: Tasks | None) -> Executor:
        """Make the executor from this launcher's options and from Hydra's node `hydra.job`."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Train all jobs; their returns are in the order of `job_overrides`."""
        return self._batch().launch(job_overrides, initial_job_idx)

    def launch_points(
        self, points: Sequence[Point], root: Path, tasks: Tasks, composer: Composer
    ) -> Sequence[JobReturn]:
        """Train points that `composer` has composed and that are checked, into the sweep directory
        `root`."""
        return self._batch(tasks).launch_points(points, root, tasks, composer)

    def _batch(self, tasks: Tasks | None = None) -> JobBatch:
        from cvtrain.sweeps.launcher import JobBatch

        assert self.hydra_context is not None
        assert self.config is not None
        assert self.task_function is not None
        return JobBatch(
            self.hydra_context,
            self.config,
            self.task_function,
            self.max_stack,
            self.executor(tasks),
        )


class LocalLauncher(ExecutorLauncher):
    """Launcher that trains on this machine.

    Args:
        max_stack: largest number of runs in one stack; None: limited by memory.
        workers: number of processes that train side by side; 1: this process; None: as many as
            shorten the sweep (`cvtrain.sweeps.side_by_side`).
    """

    def __init__(self, max_stack: int | None = None, workers: int | None = None) -> None:
        super().__init__(max_stack)
        self._workers, self._repaid = workers, 1
        self._begun: Executor | None = None

    def expect(self, points: Sequence[Point]) -> None:
        """Prepare to start processes for these points; call this before torch is loaded."""
        from cvtrain.process.forkable import become_forkable
        from cvtrain.sweeps.side_by_side import may_be_forked, workers_repaid

        assert self.config is not None
        if self._workers == 1 or not may_be_forked(points, self.config.hydra.job):
            return
        repaid = workers_repaid(points)
        if (self._workers is not None or repaid > 1) and become_forkable():
            self._repaid = repaid

    @contextmanager
    def workers_begun(self, tasks: Tasks) -> Iterator[None]:
        """Context in which the processes that train exist, if they are forks of this one."""
        from cvtrain.sweeps.executors.processes import Processes

        executor = self.executor(tasks)
        if not isinstance(executor, Processes) or not executor.forked:
            yield
            return
        with executor:
            self._begun = executor
            try:
                yield
            finally:
                self._begun = None

    def _executor(self, job: DictConfig, tasks: Tasks | None) -> Executor:
        from cvtrain.process.forkable import is_forkable, use_all_threads
        from cvtrain.sweeps.executors.in_process import InProcess
        from cvtrain.sweeps.executors.processes import Processes
        from cvtrain.sweeps.side_by_side import share_this_machine

        if self._begun is not None:
            return self._begun
        if tasks is not None and is_forkable() and not share_this_machine(tasks):
            use_all_threads()
            self._repaid = 1
        wanted = self._workers
        if wanted is None:
            wanted = 1 if tasks is None else self._repaid
        if wanted == 1:
            return InProcess(bool(job.chdir))
        return Processes(wanted, forked=is_forkable())


class RayLauncher(ExecutorLauncher):
    """Launcher that trains on a Ray cluster: `cvtrain.sweeps.executors.ray_cluster.RayCluster`."""

    def _executor(self, job: DictConfig, tasks: Tasks | None) -> Executor:
        from cvtrain.sweeps.executors.ray_cluster import RayCluster

        return RayCluster(**self._options, environment=dict(job.env_set))


class SlurmLauncher(ExecutorLauncher):
    """Launcher that trains in jobs of SLURM: `cvtrain.sweeps.executors.slurm.Slurm`."""

    def _executor(self, job: DictConfig, tasks: Tasks | None) -> Executor:
        from cvtrain.sweeps.executors.slurm import Slurm

        return Slurm(**self._options)
