"""When a run has diverged: its loss, gradient or weights cannot be used any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from cvtrain.training.signals import real_rows

EXPLOSION = 1e6
"""A loss above so many times the first one counts as diverged."""

NEVER = -1


class DivergenceLatch:
    """Notes of each of K runs, on their device, at which update it diverged."""

    def __init__(self) -> None:
        self._at: Tensor | None = None
        self._bound: Tensor | None = None
        self._observed = self._taken = NEVER

    def observe(self, step: int, losses: Tensor, tensors: Iterable[Tensor]) -> Tensor:
        """Which runs diverged with the update that was just made; bool [K], once per run.

        Args:
            step: number of the update, larger than before.
            losses: [K], before the update; those of the first call set the bounds.
            tensors: [K, …], the gradients before the update and the weights after it.
        """
        if self._bound is None or self._at is None:
            smallest = torch.finfo(losses.dtype).tiny
            self._bound = EXPLOSION * losses.abs().clamp(min=smallest)
            self._at = torch.full_like(losses, NEVER, dtype=torch.int64)
        # No NaN or infinity escapes a sum (short of finite entries that add up to one), and it is
        # the cheapest reduction there is: 0 · sum is NaN just where something is not finite, and
        # NaN is within no bound.
        total = torch.stack([real_rows(tensor).sum(dim=1) for tensor in tensors]).sum(dim=0)
        usable = (losses.abs() + 0 * total) <= self._bound
        newly = ~(usable | (self._at != NEVER))
        self._at = self._at.masked_fill(newly, step)
        self._observed = step
        return newly

    def bound_of(self, run: int) -> Tensor:
        """The largest loss that counts as usable, of run number `run`; after `observe`."""
        assert self._bound is not None
        return self._bound[run]

    def go_on(self, bounds: Tensor) -> None:
        """Take the bounds [K] from an earlier attempt, none of whose runs has diverged."""
        self._bound = bounds
        self._at = torch.full_like(bounds, NEVER, dtype=torch.int64)

    @property
    def diverged(self) -> Tensor:
        """Which runs have diverged, bool [K]; after the first `observe`."""
        assert self._at is not None
        return self._at != NEVER

    def take(self) -> dict[int, list[int]]:
        """By step, in its order, the runs that diverged since this was last asked.

        The only place that reads from the device, and thus waits for it.
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


def free_to_read(tensor: Tensor) -> bool:
    """Whether Python may look into a tensor without waiting for a device."""
    return tensor.device.type == "cpu"


def put_back(tensors: Mapping[str, Tensor], earlier: Mapping[str, Tensor], which: Tensor) -> None:
    """Make `tensors` [K, …] what they were earlier for the runs in `which`, bool [K]; in place."""
    if free_to_read(which):
        there = which.nonzero().flatten()
        for name, tensor in tensors.items():
            tensor.index_copy_(0, there, earlier[name].index_select(0, there))
    else:
        for name, tensor in tensors.items():
            tensor.copy_(torch.where(_along(which, tensor), earlier[name], tensor))


def _along(which: Tensor, tensor: Tensor) -> Tensor:
    return which.reshape(-1, *(1 for _ in tensor.shape[1:]))
