"""Group the points of a sweep into stacks, and into runs that are trained one by one."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from cvtrain.config.point import Point
from cvtrain.data.dataset import bytes_in_memory
from cvtrain.process.signals import interruption
from cvtrain.sweeps.memory_probe import MemoryProbe, available_memory, probe_memory
from cvtrain.training.job import Job
from cvtrain.training.stack import alignment
from cvtrain.training.stacking import common_part, refusal
from cvtrain.training.task import Task, Tasks

MEMORY_SHARE = 0.7
"""Share of the available memory that one stack may take."""
MOST_DRAWN = 2**28
"""Largest total size in bytes of data sets with different seeds that share stacks."""


def pack(
    points: Sequence[Point],
    max_stack: int | None,
    alone: str | None = None,
    workers: int = 1,
    sharing: int = 1,
    *,
    threads: int | None = None,
    root: Path = Path(),
    tasks: Tasks | None = None,
) -> list[Job]:
    """Group points that fit together into stacks of about equal size.

    Points that cannot be stacked become jobs of one. So does a point that fits no other: training
    it alone is cheaper than in a stack filled up with copies.

    Args:
        points: points of a sweep.
        max_stack: largest size of a stack, beside the limit of memory; 1: no stacks.
        alone: reason for training every point by itself; None: points may be stacked.
        workers: number of jobs that are trained at a time.
        sharing: number of these jobs that share the memory of one machine.
        threads: number of threads that train a job; None: torch's number in this process.
        root: the sweep directory.
        tasks: tasks of the points; None: made here.
    """
    tasks = tasks or Tasks()
    if alone is not None:
        return [_single(point, alone, root, tasks) for point in points]
    jobs: list[Job] = []
    for group in _alike(points, tasks):
        interruption.check()
        task = tasks.of(group[0].config)
        multiple = alignment(task, threads)
        size, reason = _stacks(group, task, max_stack, workers, sharing, multiple)
        if size is None:
            jobs += [_single(point, reason, root, tasks) for point in group]
        else:
            parts = balanced(group, size, multiple)
            jobs += [Job(members, root, "stack", task=task) for members in parts]
    return jobs


def describe(jobs: Sequence[Job]) -> list[str]:
    """Lines on how many runs are trained in what way, and why some are trained singly."""
    stacked = [len(job.points) for job in jobs if job.engine == "stack"]
    lines = []
    if stacked:
        sizes = f"{min(stacked)} to {max(stacked)}" if len(set(stacked)) > 1 else f"{stacked[0]}"
        noun = "stack" if len(stacked) == 1 else "stacks"
        lines.append(f"{sum(stacked)} runs in {len(stacked)} {noun} of {sizes}")
    single = [job for job in jobs if job.engine == "single"]
    for reason in dict.fromkeys(job.reason for job in single):
        alike = [job.points[0] for job in single if job.reason == reason]
        noun = "run" if len(alike) == 1 else "runs"
        named = f" ({alike[0].directory}, …)" if len(alike) > 1 else f" ({alike[0].directory})"
        why = f": {reason}{named}" if reason is not None else ""
        lines.append(f"{len(alike)} {noun} one by one{why}")
    return lines


def _alike(points: Sequence[Point], tasks: Tasks) -> Iterable[list[Point]]:
    """Groups of points that can be stacked. Points with different draws of the data share a group
    if these have one form and all of them fit into little memory."""
    draws = {point.config.data.model_dump_json(): point.config for point in points}
    forms: dict[str, Hashable] = {}
    if len(draws) > 1:
        forms = {key: tasks.of(config).draw_form for key, config in draws.items()}
        size = sum(bytes_in_memory(tasks.of(config).dataset) for config in draws.values())
        if size > MOST_DRAWN:
            forms = {}
    groups: dict[Hashable, list[Point]] = {}
    for point in points:
        kind = forms.get(point.config.data.model_dump_json())
        common = common_part(point.config, any_draw=kind is not None)
        groups.setdefault((common, kind), []).append(point)
    return groups.values()


def _stacks(
    group: Sequence[Point],
    task: Task,
    max_stack: int | None,
    workers: int,
    sharing: int,
    multiple: int,
) -> tuple[int | None, str | None]:
    """The largest size of stacks of these points; or None, with the reason why they cannot be
    stacked (None if stacks are not wanted)."""
    if len(group) == 1 or max_stack == 1:
        return None, None
    config = group[0].config
    reason = refusal(config)
    if reason is not None:
        return None, reason
    shared = max(2, -(-len(group) // workers))
    wanted = min(max_stack or len(group), shared)
    filled = -(-wanted // multiple) * multiple
    memory = available_memory(task) / sharing
    probe = probe_memory(config, task, filled, MEMORY_SHARE * memory)
    if probe.refusal is not None:
        return None, probe.refusal
    fitting = largest_stack(probe, memory, multiple)
    if fitting < 2:
        least = max(multiple, 2)
        size = probe.bytes(least) / 1e9
        return None, f"a stack of {least} takes {size:.2g} GB, more than there is"
    # Filled up with runs, where there are so many, and not with copies.
    return min(wanted if wanted < multiple else filled, max_stack or filled, fitting), None


def largest_stack(probe: MemoryProbe, memory: float, multiple: int) -> int:
    """The number of members, as a multiple of `multiple`, that fits into a share of `memory`
    (bytes)."""
    fitting = max(0, int((MEMORY_SHARE * memory - probe.fixed) // probe.per_member))
    return fitting // multiple * multiple


def balanced(points: Sequence[Point], limit: int, multiple: int = 1) -> list[tuple[Point, ...]]:
    """The fewest parts of at most `limit` points, of about equal sizes.

    Args:
        points: points to divide.
        limit: largest size of a part.
        multiple: number of which the sizes of all parts but the last are multiples, if `limit` is
            one too and no point would be left alone.
    """
    if limit % multiple or len(points) % multiple == 1:
        multiple = 1
    units, parts = -(-len(points) // multiple), -(-len(points) // limit)
    # The smallest part comes last, so that its worker is free early for the next job.
    bounds = [min(-(-units * part // parts) * multiple, len(points)) for part in range(parts + 1)]
    return [tuple(points[begin:end]) for begin, end in pairwise(bounds)]


def _single(point: Point, reason: str | None, root: Path, tasks: Tasks) -> Job:
    return Job((point,), root, "single", reason=reason, task=tasks.of(point.config))
