"""Weights and buffers at the lowest validation loss, for runs in lock step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class BestState:
    """Keeps, for each of K runs, the weights and buffers that had the lowest loss so far.

    Args:
        state: [K, …] by name; what is kept until a loss is finite.

    Attributes:
        state: [K, …] by name.
        step: updates made when it was this, [K], on the host.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self.state = {name: tensor.clone() for name, tensor in state.items()}
        first = next(iter(self.state.values()))
        self.step = torch.zeros(len(first), dtype=torch.int64)
        self._loss: Tensor | None = None

    def state_of(self, run: int) -> dict[str, Any]:
        """What `go_on` needs of run number `run`."""
        return {
            "state": {name: tensor[run] for name, tensor in self.state.items()},
            "step": int(self.step[run]),
            "loss": None if self._loss is None else self._loss[run],
        }

    def go_on(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Be again what the K runs' `state_of` tells."""
        for name, kept in self.state.items():
            kept.copy_(torch.stack([state["state"][name] for state in states]))
        self.step = torch.tensor([state["step"] for state in states])
        device = next(iter(self.state.values())).device
        self._loss = torch.stack([state["loss"] for state in states]).to(device)

    def consider(self, step: int, loss: Tensor, state: Mapping[str, Tensor]) -> None:
        """Take the `state` after `step` updates, of the runs whose `loss` [K] is a new lowest."""
        lowest = torch.full_like(loss, torch.inf) if self._loss is None else self._loss
        better = loss < lowest
        self._loss = torch.where(better, loss, lowest)
        self.step = torch.where(better.cpu(), step, self.step)
        for name, kept in self.state.items():
            over_entries = better.reshape(-1, *([1] * (kept.dim() - 1)))
            kept.copy_(torch.where(over_entries, state[name], kept))
