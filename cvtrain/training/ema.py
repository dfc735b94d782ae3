"""Exponential moving averages of weights, for runs in lock step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from cvtrain.gradients.stacked_number import Number, column, float64


class WeightAverage:
    """m ← m + (1 − decay)(w − m) after every update, from m = w before the first one.

    The average is linear in w, so that Re and Im of a complex weight are averaged alike, and runs
    with equal bits have equal averages. Polyak and Juditsky 1992, Acceleration of stochastic
    approximation by averaging; with a decay as in Izmailov et al. 2018 and torch's `swa_utils`.

    Buffers b, such as the statistics of batch normalisation, are averaged in the same way but
    without their initial values: update number t takes the share (1 − decay)/(1 − decayᵗ) of b
    (Kingma and Ba 2015, section 3). Integer buffers (counters) are copied.

    Args:
        weights: w [K, …] by name, before the first update.
        buffers: b [K, …] by name.
        decay: in [0, 1), a number or [K].

    Attributes:
        state: m [K, …] by name, of weights and buffers.
    """

    def __init__(
        self, weights: Mapping[str, Tensor], buffers: Mapping[str, Tensor], decay: Number
    ) -> None:
        self.state = {name: tensor.clone() for name, tensor in {**weights, **buffers}.items()}
        self._decay = float64(decay)

    @torch.no_grad()
    def update(
        self,
        weights: Mapping[str, Tensor],
        buffers: Mapping[str, Tensor],
        frozen: Tensor,
        updates: int,
    ) -> None:
        """Include the weights and buffers after update number `updates` (from 1) in the average,
        for the runs that are not `frozen`, bool [K]."""
        of_weights = 1 - self._decay
        of_buffers = of_weights / (1 - self._decay**updates)
        for tensors, share in ((weights, of_weights), (buffers, of_buffers)):
            for name, tensor in tensors.items():
                m = self.state[name]
                averaged = m.is_floating_point() or m.is_complex()
                moved = m + column(share, m) * (tensor - m) if averaged else tensor
                over_entries = frozen.reshape(-1, *([1] * (m.dim() - 1)))
                m.copy_(torch.where(over_entries, m, moved))

    def state_dict(self, run: int) -> dict[str, Tensor]:
        """The averages of run number `run`, by name."""
        return {name: m[run] for name, m in self.state.items()}

    @torch.no_grad()
    def load_state_dict(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        """Restore the states that `state_dict` returned for each of the K runs."""
        for name, m in self.state.items():
            m.copy_(torch.stack([state[name] for state in states]))


@contextmanager
def in_place_of(
    live: Callable[[], Mapping[str, Tensor]], state: Mapping[str, Tensor]
) -> Iterator[None]:
    """Context in which weights and buffers hold the values of `state`; their own bits are restored
    afterwards.

    Args:
        live: function that returns weights and buffers, [K, …] by name; it is called again at the
            end, since a forward may have replaced buffers.
        state: [K, …] by name.
    """
    with torch.no_grad():
        original = {name: tensor.clone() for name, tensor in live().items()}
        for name, tensor in live().items():
            tensor.copy_(state[name])
        try:
            yield
        finally:
            for name, tensor in live().items():
                tensor.copy_(original[name])
