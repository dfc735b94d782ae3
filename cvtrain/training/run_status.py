"""Which of the runs in lock step have ended before the others, and when."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


class RunStatuses:
    """Notes, by position, of the runs that are trained no further.

    Args:
        members: how many runs there are.

    Attributes:
        diverged_at: updates made when a run diverged, or None.
        stopped_at: updates made when early stopping or a callback ended a run, or None.
    """

    def __init__(self, members: int) -> None:
        self.diverged_at: list[int | None] = [None] * members
        self.stopped_at: list[int | None] = [None] * members

    def diverge(self, runs: Iterable[int], step: int) -> None:
        """Note that `runs` diverged after `step` updates."""
        for run in runs:
            self.diverged_at[run] = step

    def stop(self, runs: Iterable[int], step: int) -> None:
        """Note that early stopping ended `runs` after `step` updates."""
        for run in runs:
            self.stopped_at[run] = step

    def at(self, run: int) -> int | None:
        """Updates made when a run ended, or None."""
        diverged, stopped = self.diverged_at[run], self.stopped_at[run]
        return diverged if diverged is not None else stopped

    @property
    def surviving(self) -> list[int]:
        """Positions of the runs that have not ended."""
        return [run for run in range(len(self.diverged_at)) if self.at(run) is None]

    def with_update(self, step: int) -> list[int]:
        """Positions of the runs that made update number `step`: those that early stopping ended
        have not, and of those that diverged only the ones that this very update broke."""
        ended = zip(self.diverged_at, self.stopped_at, strict=True)
        return [
            run
            for run, (diverged, stopped) in enumerate(ended)
            if stopped is None and diverged in (None, step)
        ]

    def held(self, diverged: Tensor) -> Tensor:
        """Which runs keep their weights, bool [K]: the `diverged` ones, on their device, and those
        that were stopped."""
        if all(step is None for step in self.stopped_at):
            return diverged
        stopped = torch.tensor([step is not None for step in self.stopped_at])
        return diverged | stopped.to(diverged.device, non_blocking=True)
