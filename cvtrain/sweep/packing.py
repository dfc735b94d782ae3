"""Which points of a sweep are trained as one stack, and which one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from cvtrain.config.point import Point
from cvtrain.process.signals import interruption
from cvtrain.runs.run_json import Engine
from cvtrain.sweep.memory_probe import MemoryProbe, available_memory, probe_memory
from cvtrain.training.stack import alignment
from cvtrain.training.stacking import common_part, refusal

MEMORY_SHARE = 0.7
"""Of the available memory, for one stack."""


@dataclass(frozen=True)
class Pack:
    """Points trained together.

    Attributes:
        reason: why they are trained singly, where they might have been stacked.
    """

    points: tuple[Point, ...]
    engine: Engine
    reason: str | None = None


def pack(
    points: Sequence[Point],
    max_stack: int | None,
    alone: str | None = None,
    workers: int = 1,
    sharing: int = 1,
) -> list[Pack]:
    """Group points that fit together into stacks of about equal size.

    Points that cannot be stacked make packs of one. So does a point with nothing to be stacked
    with: alone it is cheaper by itself than in a stack filled up with copies.

    Args:
        points: of a sweep.
        max_stack: largest size of a stack, beside what memory allows; 1: none is made.
        alone: why all of them are to be trained singly, where they are.
        workers: how many want something to do at a time.
        sharing: how many of them share the memory of this machine, or of one like it.
    """
    if alone is not None:
        return list(_singly(points, alone))
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault(common_part(point.config), []).append(point)
    packed: list[Pack] = []
    for group in groups.values():
        interruption.check()
        packed += _packs(group, max_stack, workers, sharing)
    return packed


def describe(packs: Sequence[Pack]) -> list[str]:
    """How many runs are trained in what way, and why some of them singly."""
    stacked = [len(each.points) for each in packs if each.engine == "stack"]
    lines = []
    if stacked:
        sizes = f"{min(stacked)} to {max(stacked)}" if len(set(stacked)) > 1 else f"{stacked[0]}"
        noun = "stack" if len(stacked) == 1 else "stacks"
        lines.append(f"{sum(stacked)} runs in {len(stacked)} {noun} of {sizes}")
    single = [each for each in packs if each.engine == "single"]
    for reason in dict.fromkeys(each.reason for each in single):
        alike = [each.points[0] for each in single if each.reason == reason]
        noun = "run" if len(alike) == 1 else "runs"
        named = f" ({alike[0].directory}, …)" if len(alike) > 1 else f" ({alike[0].directory})"
        why = f": {reason}{named}" if reason is not None else ""
        lines.append(f"{len(alike)} {noun} one by one{why}")
    return lines


def _packs(
    group: Sequence[Point], max_stack: int | None, workers: int, sharing: int
) -> Iterator[Pack]:
    if len(group) == 1 or max_stack == 1:
        yield from _singly(group, None)
        return
    config = group[0].config
    reason = refusal(config)
    if reason is None:
        trial = probe_memory(config)
        reason = trial.refusal
    if reason is None:
        multiple = alignment(config)
        fitting = largest_stack(trial, available_memory(config) / sharing, multiple)
        if fitting >= 2:
            shared = max(2, -(-len(group) // workers))
            limit = min(max_stack or len(group), fitting, shared)
            yield from (Pack(points, "stack") for points in balanced(group, limit))
            return
        least = max(multiple, 2)
        reason = f"a stack of {least} takes {trial.bytes(least) / 1e9:.2g} GB, more than there is"
    yield from _singly(group, reason)


def largest_stack(trial: MemoryProbe, memory: float, multiple: int) -> int:
    """How many members, filled up to a `multiple`, fit into a share of `memory`, in bytes."""
    fitting = max(0, int((MEMORY_SHARE * memory - trial.fixed) // trial.per_member))
    return fitting // multiple * multiple


def balanced(points: Sequence[Point], limit: int) -> list[tuple[Point, ...]]:
    """As few parts of at most `limit` as there can be, their sizes at most one apart."""
    parts = -(-len(points) // limit)
    bounds = [len(points) * part // parts for part in range(parts + 1)]
    return [tuple(points[begin:end]) for begin, end in pairwise(bounds)]


def _singly(group: Sequence[Point], reason: str | None) -> Iterator[Pack]:
    return (Pack((point,), "single", reason) for point in group)
