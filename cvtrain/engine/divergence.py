"""When a run has diverged: its loss, gradient or weights cannot be used any more."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from cvtrain.engine.signals import real_rows

EXPLOSION = 1e6
"""A loss above so many times the first one counts as diverged."""


class DivergenceLatch:
    """Tells of each of K runs once, when it diverges."""

    def __init__(self) -> None:
        self._diverged: Tensor | None = None
        self._bound: Tensor | None = None

    def newly_diverged(self, losses: Tensor, tensors: Iterable[Tensor]) -> list[int]:
        """The runs that diverged with the update that was just made.

        Args:
            losses: [K], before the update; those of the first call set the bounds.
            tensors: [K, …], the gradients before the update and the weights after it.
        """
        if self._bound is None or self._diverged is None:
            smallest = torch.finfo(losses.dtype).tiny
            self._bound = EXPLOSION * losses.abs().clamp(min=smallest)
            self._diverged = torch.zeros_like(losses, dtype=torch.bool)
        # No NaN or infinity escapes a sum (short of finite entries that add up to one), and it is
        # the cheapest reduction there is: 0 · sum is NaN just where something is not finite, and
        # NaN is within no bound.
        total = torch.stack([real_rows(tensor).sum(dim=1) for tensor in tensors]).sum(dim=0)
        usable = (losses.abs() + 0 * total) <= self._bound
        if bool((usable | self._diverged).all()):
            return []
        newly = ~(usable | self._diverged)
        self._diverged = self._diverged | newly
        return [int(run) for run in newly.nonzero().flatten()]
