"""Where Hydra looks for launchers; the substance is in `cvtrain.sweeps.launcher`.

Hydra imports this file at every start, also for `--help`: nothing heavy may be imported here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
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
    """Trains the jobs of a batch that differ in numbers only as one computation.

    Args:
        max_stack: largest number of runs in one stack; None: what fits into memory; 1: no stacks.
        options: of the executor.
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

    def executor(self) -> Executor:
        """Where stacks are trained.

        Raises:
            InputError: an option of the launcher is wrong.
        """
        from cvtrain.sweeps.launcher import check_launcher

        assert self.config is not None
        executor = self._executor(self.config.hydra.job)
        check_launcher(executor, self.max_stack, self.config.hydra.job)
        return executor

    @abstractmethod
    def _executor(self, job: DictConfig) -> Executor:
        """Make the executor from this launcher's options and from Hydra's node `hydra.job`."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Train all jobs; their returns are in the order of `job_overrides`."""
        return self._batch().launch(job_overrides, initial_job_idx)

    def launch_points(
        self, points: Sequence[Point], root: Path, tasks: Tasks, composer: Composer
    ) -> Sequence[JobReturn]:
        """Train points that `composer` has composed, and that are checked, into the sweep directory
        `root`."""
        return self._batch().launch_points(points, root, tasks, composer)

    def _batch(self) -> JobBatch:
        from cvtrain.sweeps.launcher import JobBatch

        assert self.hydra_context is not None
        assert self.config is not None
        assert self.task_function is not None
        return JobBatch(
            self.hydra_context, self.config, self.task_function, self.max_stack, self.executor()
        )


class LocalLauncher(ExecutorLauncher):
    """Launcher that trains on this machine.

    Args:
        max_stack: largest number of runs in one stack; None: what fits into memory.
        workers: processes that train side by side; 1: this one.
    """

    def __init__(self, max_stack: int | None = None, workers: int = 1) -> None:
        super().__init__(max_stack)
        self._workers = workers

    def _executor(self, job: DictConfig) -> Executor:
        from cvtrain.sweeps.executors.in_process import InProcess
        from cvtrain.sweeps.executors.processes import Processes

        return InProcess(bool(job.chdir)) if self._workers == 1 else Processes(self._workers)


class RayLauncher(ExecutorLauncher):
    """Launcher that trains on a Ray cluster: `cvtrain.sweeps.executors.ray_cluster.RayCluster`."""

    def _executor(self, job: DictConfig) -> Executor:
        from cvtrain.sweeps.executors.ray_cluster import RayCluster

        return RayCluster(**self._options, environment=dict(job.env_set))


class SlurmLauncher(ExecutorLauncher):
    """Launcher that trains in jobs of SLURM: `cvtrain.sweeps.executors.slurm.Slurm`."""

    def _executor(self, job: DictConfig) -> Executor:
        from cvtrain.sweeps.executors.slurm import Slurm

        return Slurm(**self._options)
