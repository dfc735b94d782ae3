"""Where Hydra looks for launchers; the substance is in `cvtrain.sweep.launcher`.

Hydra imports this file at every start, also for `--help`: nothing heavy may be imported here.
"""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class StackedLauncher(Launcher):
    """Trains the jobs of a batch that differ in numbers only as one computation.

    Args:
        max_stack: largest number of runs in one stack; None: what fits into memory; 1: no stacks.
        workers: processes that train side by side; 1: this one.
    """

    def __init__(self, max_stack: int | None = None, workers: int = 1) -> None:
        super().__init__()
        self.max_stack = max_stack
        self.workers = workers

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what Hydra gives."""
        self.hydra_context, self.task_function = hydra_context, task_function
        self.config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Train all jobs; their returns are in the order of `job_overrides`."""
        from cvtrain.sweep.launcher import StackLaunch

        assert self.hydra_context is not None
        assert self.config is not None
        assert self.task_function is not None
        batch = StackLaunch(
            self.hydra_context, self.config, self.task_function, self.max_stack, self.workers
        )
        return batch.launch(job_overrides, initial_job_idx)
