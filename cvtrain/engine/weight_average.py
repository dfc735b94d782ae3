"""Exponential moving averages of weights, for runs in lock step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from cvtrain.optim.hyperparameter import Number, column, float64


class WeightAverage:
    """m ← m + (1 − decay)(w − m) after every update, from m = w before the first one.

    The average is linear in w, so that Re and Im of a complex weight are averaged alike, and runs
    with equal bits have equal averages. Polyak and Juditsky 1992, Acceleration of stochastic
    approximation by averaging; with a decay as in Izmailov et al. 2018 and torch's `swa_utils`.

    Args:
        weights: w [K, …] by name, before the first update.
        decay: in [0, 1), a number or [K].

    Attributes:
        weights: m [K, …] by name.
    """

    def __init__(self, weights: Mapping[str, Tensor], decay: Number) -> None:
        self.weights = {name: weight.clone() for name, weight in weights.items()}
        self._decay = decay

    @torch.no_grad()
    def update(self, weights: Mapping[str, Tensor], held: Tensor) -> None:
        """Take the `weights` after an update into the average, of the runs not `held`, bool [K]."""
        for name, m in self.weights.items():
            share = column(1 - float64(self._decay), m)
            moved = m + share * (weights[name] - m)
            over_entries = held.reshape(-1, *([1] * (m.dim() - 1)))
            m.copy_(torch.where(over_entries, m, moved))

    def state_of(self, run: int) -> dict[str, Tensor]:
        """What `go_on` needs of run number `run`."""
        return {name: m[run] for name, m in self.weights.items()}

    @torch.no_grad()
    def go_on(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        """Be again what the K runs' `state_of` tells."""
        for name, m in self.weights.items():
            m.copy_(torch.stack([state[name] for state in states]))

    @contextmanager
    def in_place_of(self, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """Let live `weights` [K, …] be the average for a while; afterwards they have their bits."""
        with torch.no_grad():
            kept = {name: weight.clone() for name, weight in weights.items()}
            for name, weight in weights.items():
                weight.copy_(self.weights[name])
            try:
                yield
            finally:
                for name, weight in weights.items():
                    weight.copy_(kept[name])
