"""Recurrent layers for which torch has no batching rule: their formulas, step by step.

The layers are ``nn.RNN``, ``nn.LSTM`` and ``nn.GRU`` as defined in torch's documentation. torch's
own kernels are faster, but `vmap` cannot call them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State: TypeAlias = tuple[Tensor, ...]
"""Hidden state [N, H] of one layer and direction; with the cell state [N, C] of an LSTM."""

Cell: TypeAlias = Callable[[Tensor, Tensor, State], State]
"""Next state from the two preactivations (of input and of hidden state) and the state."""


def recurrent(
    dropout: Callable[[Tensor, float], Tensor],
    kind: str,
    x: Tensor,
    initial: Tensor | State,
    weights: Sequence[Tensor],
    bias: bool,
    layers: int,
    p: float,
    training: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, ...]:
    """The result of torch's function with the same arguments, for a whole batch of sequences.

    Args:
        dropout: function of a tensor and a probability that drops entries between layers.
        kind: rnn_tanh, rnn_relu, lstm or gru.
        x: sequences [T, N, F], or [N, T, F] if `batch_first`.
        initial: hidden states [layers · directions, N, H]; for an LSTM also cell states.
        weights: weights of each layer and direction: input, hidden, two biases if `bias`,
            projection.
        bias, layers, p, training, bidirectional, batch_first: as in torch.

    Returns:
        outputs [T, N, directions · H] or [N, T, …], and the final states in the shapes of
        `initial`.
    """
    states = initial if isinstance(initial, tuple) else (initial,)
    cell = _CELLS[kind]
    directions = 1 + bidirectional
    size = len(weights) // (layers * directions)
    x = x.transpose(0, 1) if batch_first else x
    final: list[State] = []
    for layer in range(layers):
        outputs = []
        for direction in range(directions):
            index = layer * directions + direction
            own = weights[index * size : (index + 1) * size]
            output, state = _layer(cell, x, tuple(s[index] for s in states), own, bias, direction)
            outputs.append(output)
            final.append(state)
        x = torch.cat(outputs, dim=-1)
        if training and p and layer < layers - 1:
            x = dropout(x, p)
    x = x.transpose(0, 1) if batch_first else x
    return (x, *map(torch.stack, zip(*final, strict=True)))


def recurrent_cell(
    kind: str,
    x: Tensor,
    initial: Tensor | State,
    of_input: Tensor,
    of_hidden: Tensor,
    input_bias: Tensor | None = None,
    hidden_bias: Tensor | None = None,
) -> Tensor | State:
    """The result of torch's function with the same arguments: the next state of x [N, F]."""
    state = initial if isinstance(initial, tuple) else (initial,)
    preactivations = F.linear(x, of_input, input_bias), F.linear(state[0], of_hidden, hidden_bias)
    following = _CELLS[kind](*preactivations, state)
    return following if len(following) > 1 else following[0]


def _layer(
    cell: Cell, x: Tensor, state: State, weights: Sequence[Tensor], bias: bool, backwards: int
) -> tuple[Tensor, State]:
    """Outputs [T, N, H] of one layer in one direction, and its final state."""
    of_input, of_hidden = weights[:2]
    input_bias, hidden_bias = weights[2:4] if bias else (None, None)
    projection = weights[-1] if len(weights) % 2 else None
    steps = F.linear(x, of_input, input_bias).unbind(0)
    outputs = []
    for step in reversed(steps) if backwards else steps:
        state = cell(step, F.linear(state[0], of_hidden, hidden_bias), state)
        if projection is not None:
            state = (F.linear(state[0], projection), *state[1:])
        outputs.append(state[0])
    return torch.stack(outputs[::-1] if backwards else outputs), state


def _tanh(of_input: Tensor, of_hidden: Tensor, state: State) -> State:
    return ((of_input + of_hidden).tanh(),)


def _relu(of_input: Tensor, of_hidden: Tensor, state: State) -> State:
    return ((of_input + of_hidden).relu(),)


def _lstm(of_input: Tensor, of_hidden: Tensor, state: State) -> State:
    """c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c')."""
    i, f, g, o = (of_input + of_hidden).chunk(4, dim=-1)
    c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _gru(of_input: Tensor, of_hidden: Tensor, state: State) -> State:
    """h' = n + σ(z) (h − n) with n = tanh(n_x + σ(r) n_h)."""
    r_x, z_x, n_x = of_input.chunk(3, dim=-1)
    r_h, z_h, n_h = of_hidden.chunk(3, dim=-1)
    n = (n_x + (r_x + r_h).sigmoid() * n_h).tanh()
    return ((state[0] - n) * (z_x + z_h).sigmoid() + n,)


_CELLS: dict[str, Cell] = {"rnn_tanh": _tanh, "rnn_relu": _relu, "lstm": _lstm, "gru": _gru}

RECURRENT: dict[Callable[..., object], str] = {getattr(torch, name): name for name in _CELLS}
"""Functions of torch that `recurrent` replaces, and their `kind`."""
RECURRENT_CELLS: dict[Callable[..., object], str] = {
    getattr(torch, f"{name}_cell"): name for name in _CELLS
}
"""Functions of torch that `recurrent_cell` replaces, and their `kind`."""


class MemberRecurrent(nn.Module):
    """Mixin for torch's recurrent layers: their list of weights is read from the parameters.

    torch's layers keep a second list of their parameters for its kernels, and rebuild it in the
    forward if `functional_call` has replaced the parameters.
    """

    _flat_weights_names: list[str]

    @property
    def _flat_weights(self) -> list[Tensor]:
        return [getattr(self, name) for name in self._flat_weights_names]

    @_flat_weights.setter
    def _flat_weights(self, weights: list[Tensor]) -> None:
        pass

    def _init_flat_weights(self) -> None:
        pass

    def _update_flat_weights(self) -> None:
        pass
