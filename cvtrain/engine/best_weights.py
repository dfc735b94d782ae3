"""The weights of the lowest validation loss, for runs in lock step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class BestWeights:
    """Keeps, for each of K runs, the weights that had the lowest loss so far.

    Args:
        weights: [K, …] by name; those kept until a loss is finite.

    Attributes:
        weights: [K, …] by name.
        step: updates made when the weights were these, [K], on the host.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.weights = {name: weight.clone() for name, weight in weights.items()}
        first = next(iter(self.weights.values()))
        self.step = torch.zeros(len(first), dtype=torch.int64)
        self._loss: Tensor | None = None

    def state_of(self, run: int) -> dict[str, Any]:
        """What `go_on` needs of run number `run`."""
        return {
            "weights": {name: weight[run] for name, weight in self.weights.items()},
            "step": int(self.step[run]),
            "loss": None if self._loss is None else self._loss[run],
        }

    def go_on(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Be again what the K runs' `state_of` tells."""
        for name, kept in self.weights.items():
            kept.copy_(torch.stack([state["weights"][name] for state in states]))
        self.step = torch.tensor([state["step"] for state in states])
        device = next(iter(self.weights.values())).device
        self._loss = torch.stack([state["loss"] for state in states]).to(device)

    def consider(self, step: int, loss: Tensor, weights: Mapping[str, Tensor]) -> None:
        """Take the `weights` after `step` updates, of the runs whose `loss` [K] is a new lowest."""
        lowest = torch.full_like(loss, torch.inf) if self._loss is None else self._loss
        better = loss < lowest
        self._loss = torch.where(better, loss, lowest)
        self.step = torch.where(better.cpu(), step, self.step)
        for name, kept in self.weights.items():
            over_entries = better.reshape(-1, *([1] * (kept.dim() - 1)))
            kept.copy_(torch.where(over_entries, weights[name], kept))
