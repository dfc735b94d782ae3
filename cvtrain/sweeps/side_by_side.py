"""How many processes train a sweep on this machine where the command does not say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from cvtrain.config.point import Point
from cvtrain.process.forkable import usable_cores

if TYPE_CHECKING:
    from cvtrain.training.task import Tasks

LEAST_RUNS = 16
"""Of a process: stacks of fewer take longer for each run."""
LEAST_UPDATES = 10_000
"""Of a process, over all of its runs: some seconds of training repay what it begins with."""


def may_be_forked(points: Sequence[Point], job: DictConfig) -> bool:
    """Whether the points may train in forks of this process.

    Not where they name code of the user's own, which may stop in a debugger or not survive a fork;
    nor where a job has environment variables, which libraries read when they are loaded, or a
    working directory of its own.

    Args:
        points: of a sweep.
        job: Hydra's configuration of jobs.
    """
    own = any(point.config.trusted_modules for point in points)
    return not (own or job.chdir or job.env_set)


def workers_repaid(points: Sequence[Point]) -> int:
    """How many processes a sweep repays, at most one for each core."""
    updates = sum(point.config.max_steps for point in points)
    return max(1, min(usable_cores(), len(points) // LEAST_RUNS, updates // LEAST_UPDATES))


def share_this_machine(tasks: Tasks) -> bool:
    """Whether processes beside each other suit the tasks of a sweep: all train on the CPU, in one
    process each, with data that forks share since this process keeps them."""
    from cvtrain.data.dataset import bytes_in_memory
    from cvtrain.data.load import MOST_KEPT
    from cvtrain.training.data_parallel import devices_wanted

    on_cpu = all(t.accelerator == "cpu" and devices_wanted(t.config.trainer) == 1 for t in tasks)
    return on_cpu and sum(bytes_in_memory(t.dataset) for t in tasks) <= MOST_KEPT
