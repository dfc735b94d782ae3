"""How a rule written for real numbers treats a complex entry.

`split`: Re and Im are two reals, each with its own square, magnitude and sign, as in torch.optim.
`modulus`: they are one number z with |z|², |z| and z/|z|, so that a rotation of the plane rotates
the steps. Real entries are treated in the same way by both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from cvtrain.gradients.stacked_number import Number, column, float64

Semantics: TypeAlias = Literal["split", "modulus"]
State: TypeAlias = dict[str, Tensor]
StateLayout: TypeAlias = Mapping[str, Literal["number", "tensor", "magnitude"]]
"""The kind of each item of a rule's state: a `number` for each member, a `tensor` like the
parameter, or a `magnitude`, which is complex under `split` (its parts are those of Re and Im) and
real under `modulus`."""


class RealView:
    """A parameter's tensors as reals: complex [K, …] as [K, …, 2], real tensors unchanged.

    The magnitude of a complex entry is [K, …, 2] under `split`, one for Re and one for Im, and [K,
    …, 1] under `modulus`, where the state stores it as a real tensor [K, …].
    """

    def __init__(self, parameter: Tensor, semantics: Semantics) -> None:
        self._complex = parameter.is_complex()
        self._joint = self._complex and semantics == "modulus"
        self._parameter = parameter

    def of(self, tensor: Tensor) -> Tensor:
        """The real view of a weight, a gradient or an item of the state."""
        if tensor.is_complex():
            return torch.view_as_real(tensor.resolve_conj())
        return tensor.unsqueeze(-1) if self._complex else tensor

    def back(self, w: Tensor, state: State) -> tuple[Tensor, State]:
        """Convert a weight and its state from their real views.

        State with one axis, such as `step` [K], is not a view and is returned unchanged.
        """
        if not self._complex:
            return w, state
        return self._stored(w), {name: self._stored(s) for name, s in state.items()}

    def _stored(self, view: Tensor) -> Tensor:
        if view.dim() == 1:
            return view
        return view.squeeze(-1) if view.shape[-1] == 1 else torch.view_as_complex(view)

    def no_magnitude(self) -> Tensor:
        """Magnitudes of 0 as the state stores them, [K, …] (see `StateLayout`)."""
        dtype = self._parameter.dtype.to_real() if self._joint else None
        return torch.zeros_like(self._parameter, dtype=dtype)

    def magnitude(self, g: Tensor) -> Tensor:
        """|g| of each part under `split`, of the entry under `modulus`."""
        parts = g.abs()
        if not self._joint:
            return parts
        # Not torch's abs, whose last bits depend on the position of an entry in an array, but
        # operations that IEEE 754 rounds correctly; no square is taken that could overflow.
        re, im = parts[..., :1], parts[..., 1:]
        larger, smaller = torch.maximum(re, im), torch.minimum(re, im)
        ratio = torch.where(smaller == 0, 0, smaller / larger)
        size = larger * (1 + ratio * ratio).sqrt()
        return torch.where(larger.isinf(), torch.inf, size)

    def sign(self, g: Tensor) -> Tensor:
        """±1 for each part under `split`, z/|z| under `modulus`; 0 for 0."""
        if not self._joint:
            return g.sign()
        size = self.magnitude(g)
        return torch.where(size == 0, 0, g / size)

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """a·b of each part under `split`, Re(a·b*) under `modulus`: positive if a and b point to
        the same side."""
        return self._sum(a * b)

    def plus_square(self, v: Tensor, g: Tensor) -> Tensor:
        """v + g²; v + |g|² under `modulus`."""
        return v + self._squared(g) if self._joint else torch.addcmul(v, g, g)

    def minus_square(self, v: Tensor, m: Tensor) -> Tensor:
        """v − m², v − |m|² under `modulus`; a difference that rounding makes negative is 0."""
        if self._joint:
            return (v - self._squared(m)).clamp(min=0)
        return torch.addcmul(v, m, m, value=-1)

    def mean_square(self, v: Tensor, g: Tensor, beta: Number) -> Tensor:
        """βv + (1 − β)g², the next moving average of squares; with |g|² under `modulus`."""
        old, share = column(beta, v) * v, column(1 - float64(beta), g)
        return old.add_(self._sum(share * g * g)) if self._joint else old.addcmul_(share * g, g)

    def _squared(self, g: Tensor) -> Tensor:
        return self._sum(g * g)

    def _sum(self, parts: Tensor) -> Tensor:
        # Much faster than a reduction over an axis of length 2.
        return parts[..., :1] + parts[..., 1:] if self._joint else parts
