"""Which of K runs in lock step have diverged or stopped, and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from cvtrain.training.signals import real_rows

EXPLOSION = 1e6
"""Ratio of a loss to the first one from which a run counts as diverged."""

NEVER = -1


class DivergenceLatch:
    """Remembers for each of K runs, on their device, the update at which it diverged.

    A run diverges when its loss, gradient or weights are not finite, or its loss exceeds
    `EXPLOSION` times the first one in absolute value.
    """

    def __init__(self) -> None:
        self._at: Tensor | None = None
        self._bound: Tensor | None = None
        self._observed = self._taken = NEVER

    def observe(self, step: int, losses: Tensor, total: Tensor) -> Tensor:
        """Test the update that was just made; return which runs diverged with it, bool [K]. Each
        run is reported once.

        Args:
            step: number of the update, larger than before.
            losses: [K], before the update; those of the first call set the bounds.
            total: [K], `total_of` the gradients before the update and the weights after it.
        """
        if self._bound is None or self._at is None:
            smallest = torch.finfo(losses.dtype).tiny
            self._bound = EXPLOSION * losses.abs().clamp(min=smallest)
            self._at = torch.full_like(losses, NEVER, dtype=torch.int64)
        # 0 · total is NaN exactly if something is not finite, and NaN is within no bound.
        usable = (losses.abs() + 0 * total) <= self._bound
        newly = ~(usable | (self._at != NEVER))
        self._at = self._at.masked_fill(newly, step)
        self._observed = step
        return newly

    @property
    def diverged(self) -> Tensor:
        """Which runs have diverged, bool [K]; valid after the first `observe`."""
        assert self._at is not None
        return self._at != NEVER

    def take(self) -> dict[int, list[int]]:
        """The runs that diverged since the last call, by step in ascending order.

        The only method that copies from the device, and thus synchronises with it.
        """
        if self._at is None:
            return {}
        untaken, self._taken = self._at > self._taken, self._observed
        if not bool(untaken.any()):
            return {}
        steps = self._at.tolist()
        runs = [run for run, fresh in enumerate(untaken.tolist()) if fresh]
        return {
            step: [run for run in runs if steps[run] == step]
            for step in sorted({steps[run] for run in runs})
        }

    def loss_bound(self, run: int) -> Tensor:
        """The largest loss at which run number `run` has not diverged; valid after `observe`."""
        assert self._bound is not None
        return self._bound[run]

    def load_loss_bounds(self, bounds: Tensor) -> None:
        """Restore the bounds [K] of resumed runs, none of which has diverged."""
        self._bound = bounds
        self._at = torch.full_like(bounds, NEVER, dtype=torch.int64)


def total_of(tensors: Iterable[Tensor]) -> Tensor:
    """The sum [K] over all parts of all entries of tensors [K, …]. It is not finite if any entry is
    not (or if finite entries add up to infinity), and no reduction is cheaper."""
    return torch.stack([real_rows(tensor).sum(dim=1) for tensor in tensors]).sum(dim=0)


class RunStatuses:
    """Records, by position, which of K runs have ended.

    Args:
        members: K.

    Attributes:
        diverged_at: number of updates made when each run diverged, or None.
        stopped_at: number of updates made when early stopping or a callback ended each run, or
            None.
    """

    def __init__(self, members: int) -> None:
        self.diverged_at: list[int | None] = [None] * members
        self.stopped_at: list[int | None] = [None] * members

    def diverge(self, runs: Iterable[int], step: int) -> None:
        """Record that `runs` diverged after `step` updates."""
        for run in runs:
            self.diverged_at[run] = step

    def stop(self, runs: Iterable[int], step: int) -> None:
        """Record that `runs` were ended after `step` updates."""
        for run in runs:
            self.stopped_at[run] = step

    def ended_at(self, run: int) -> int | None:
        """Number of updates made when run number `run` ended, or None."""
        diverged, stopped = self.diverged_at[run], self.stopped_at[run]
        return diverged if diverged is not None else stopped

    @property
    def surviving(self) -> list[int]:
        """Positions of the runs that have not ended."""
        return [run for run in range(len(self.diverged_at)) if self.ended_at(run) is None]

    def with_update(self, step: int) -> list[int]:
        """Positions of the runs that made update number `step`: all except those that stopped or
        diverged before it. A run that diverged with this update is included."""
        ended = zip(self.diverged_at, self.stopped_at, strict=True)
        return [
            run
            for run, (diverged, stopped) in enumerate(ended)
            if stopped is None and diverged in (None, step)
        ]

    def frozen(self, diverged: Tensor) -> Tensor:
        """Which runs keep their weights, bool [K], on the device of `diverged`: the diverged runs
        and those that stopped."""
        if all(step is None for step in self.stopped_at):
            return diverged
        stopped = torch.tensor([step is not None for step in self.stopped_at])
        return diverged | stopped.to(diverged.device, non_blocking=True)


def free_to_read(tensor: Tensor) -> bool:
    """Whether Python can read a tensor without synchronising with a device."""
    return tensor.device.type == "cpu"


def clones(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of `tensors` by name, which later changes in place do not reach."""
    return {name: tensor.clone() for name, tensor in tensors.items()}


def put_back(tensors: Mapping[str, Tensor], earlier: Mapping[str, Tensor], chosen: Tensor) -> None:
    """Overwrite `tensors` [K, …] in place with `earlier` ones, for the runs `which`, bool [K]."""
    if free_to_read(chosen):
        runs = chosen.nonzero().flatten()
        for name, tensor in tensors.items():
            tensor.index_copy_(0, runs, earlier[name].index_select(0, runs))
    else:
        for name, tensor in tensors.items():
            tensor.copy_(torch.where(_along(chosen, tensor), earlier[name], tensor))


def _along(chosen: Tensor, tensor: Tensor) -> Tensor:
    return chosen.reshape(-1, *(1 for _ in tensor.shape[1:]))
