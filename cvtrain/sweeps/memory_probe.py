"""Try a small stack for two steps: whether it works, and how much memory a member takes."""

from __future__ import annotations

import gc
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch.profiler import ProfilerActivity, profile

from cvtrain.config.point import Point
from cvtrain.config.schema import Config
from cvtrain.data.split import UnusableSample
from cvtrain.gradients.losses import Objective
from cvtrain.models.forward_state import StatefulForward
from cvtrain.process.errors import (
    InputError,
    RunFailed,
    describe_error,
    machine_failure,
    os_error_line,
)
from cvtrain.process.limits import free_host_memory
from cvtrain.runs.storage_errors import trial_directory
from cvtrain.training.job import Job
from cvtrain.training.memory import is_out_of_memory
from cvtrain.training.task import Task
from cvtrain.training.train import train

SIZES = (2, 4)
STEPS = 2

# The profiler's library logs to stderr whenever it starts and stops.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")


@dataclass(frozen=True)
class MemoryProbe:
    """Memory that a short training of a stack took.

    Attributes:
        refusal: why the configuration is not trained in a stack, or None.
        fixed, per_member: peak memory of K members is fixed + K · per_member, in bytes.
    """

    refusal: str | None
    fixed: float = 0.0
    per_member: float = 1.0

    def bytes(self, members: int) -> float:
        """Peak memory of a stack."""
        return self.fixed + members * self.per_member


def probe_memory(
    config: Config, task: Task, wanted: int | None = None, memory: float = 0.0
) -> MemoryProbe:
    """Train stacks of `SIZES` for two steps, measured and recorded like any other.

    Args:
        config: configuration of a point.
        task: task of the point.
        wanted: largest number of members that is requested. If they fit into `memory` (bytes) even
            if the small stack took all its memory for its members, the larger stack is not trained,
            and `MemoryProbe.per_member` is this upper bound.
        memory: available memory in bytes.

    Raises:
        InputError: a sample of the data cannot be read.
        StorageFailed: temporary files cannot be written.
        RunFailed: the trial failed for another reason of this machine, which says nothing about the
            network.
    """
    measure = _peak_on_cuda if task.accelerator == "cuda" else _peak_on_host
    try:
        small = measure(partial(_train, config, task, SIZES[0]))
        if wanted is not None and wanted * small / SIZES[0] <= memory:
            return MemoryProbe(None, 0.0, small / SIZES[0])
        large = measure(partial(_train, config, task, SIZES[1]))
    except _Refused as refused:
        return MemoryProbe(str(refused))
    except (InputError, RunFailed):
        raise
    except Exception as error:  # an error of the measurement; errors of training are handled in it
        raise RunFailed(f"trying out a stack failed: {describe_error(error)}") from error
    per_member = max(large - small, 1) / (SIZES[1] - SIZES[0])
    return MemoryProbe(None, max(small - SIZES[0] * per_member, 0.0), per_member)


class _Refused(Exception):
    """The reason why a configuration is not trained in a stack."""


def _refusal(error: Exception) -> str:
    """The reason against stacks that follows from the `error` of a trial training.

    Raises:
        InputError: a sample of the data cannot be read.
        RunFailed: the machine failed.
    """
    if isinstance(error, UnusableSample):
        raise InputError(f"data: {error}") from None
    if isinstance(error, StatefulForward):
        return error.change
    if is_out_of_memory(error):
        return f"a stack of {SIZES[0]} takes more memory than there is"
    failure = os_error_line(error) if isinstance(error, OSError) else machine_failure(error)
    if failure is not None:
        raise RunFailed(f"trying out a stack failed for a reason of this machine: {failure}")
    frames = (frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__))
    part = "loss" if Objective.loss_value.__code__ in frames else "network"
    return f"the {part} refuses to be stacked: {describe_error(error)}"


def available_memory(task: Task) -> float:
    """Bytes that a stack may take on the device of `task`: free memory, within a container's
    limit."""
    if task.accelerator == "cuda":
        return float(torch.cuda.mem_get_info()[0])
    return free_host_memory()


def _train(config: Config, task: Task, size: int) -> None:
    checkpoint = config.checkpoint.model_copy(update={"every_n_steps": None})
    tried = config.tried(min(STEPS, config.max_steps))

    def point(member: int) -> Point:
        # Numbers that all members share would hide the memory that different numbers take.
        optimizer = config.optimizer.model_copy(update={"lr": config.optimizer.lr * (1 + member)})
        own = {"checkpoint": checkpoint, "optimizer": optimizer, "seed": config.seed + member}
        return Point(member, tried.model_copy(update=own), (), str(member))

    points = tuple(map(point, range(size)))
    with trial_directory() as root:
        try:
            train(Job(points, root, "stack", multiple=1, task=task))
        except Exception as error:  # a user's network may raise anything under vmap
            raise _Refused(_refusal(error)) from error


def _peak_on_host(work: Callable[[], None]) -> int:
    collects = gc.isenabled()
    gc.disable()  # older objects freed in the meantime would change the peak
    try:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            work()
    finally:
        if collects:
            gc.enable()
    held = peak = 0
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak


def _peak_on_cuda(work: Callable[[], None]) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    return torch.cuda.max_memory_allocated() - before
