"""Choose the number of processes that train a sweep on this machine, if the command does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from cvtrain.config.point import Point
from cvtrain.process.forkable import usable_cores

if TYPE_CHECKING:
    from cvtrain.training.task import Tasks

LEAST_RUNS = 16
"""Fewest runs of a process: a smaller stack takes longer per run."""
LEAST_UPDATES = 10_000
"""Fewest updates of a process, over all its runs: some seconds of training repay its start."""


def may_be_forked(points: Sequence[Point], job: DictConfig) -> bool:
    """Whether the points may train in forks of this process.

    They may not if they name the user's own code, which may stop in a debugger or not survive a
    fork, or if a job has its own working directory or environment variables, which libraries read
    when they are loaded.

    Args:
        points: points of a sweep.
        job: Hydra's configuration of jobs.
    """
    own = any(point.config.trusted_modules for point in points)
    return not (own or job.chdir or job.env_set)


def workers_repaid(points: Sequence[Point]) -> int:
    """The number of processes that shortens a sweep, at most one per core."""
    updates = sum(point.config.max_steps for point in points)
    return max(1, min(usable_cores(), len(points) // LEAST_RUNS, updates // LEAST_UPDATES))


def share_this_machine(tasks: Tasks) -> bool:
    """Whether several processes can train the tasks of a sweep side by side: all train on the CPU,
    each in one process, and their data fit into this process, whose forks share them."""
    from cvtrain.data.dataset import bytes_in_memory
    from cvtrain.data.load import MOST_KEPT
    from cvtrain.training.data_parallel import devices_wanted

    on_cpu = all(t.accelerator == "cpu" and devices_wanted(t.config.trainer) == 1 for t in tasks)
    return on_cpu and sum(bytes_in_memory(t.dataset) for t in tasks) <= MOST_KEPT
