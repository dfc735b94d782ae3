"""Complex tensors as pairs of real ones: their real and imaginary parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

Part = Any
"""A real tensor, or a Python number."""


class NoRealForm(Exception):
    """The form of an operation on complex tensors as one on their parts is not known."""


@dataclass(frozen=True)
class Planes:
    """A complex tensor re + sign·i·im.

    Attributes:
        re, im: real tensors of one shape; `im` is None if the number is real.
        sign: 1, or −1 for a conjugate.
    """

    re: Part
    im: Part | None = None
    sign: int = 1

    @staticmethod
    def of(value: Any) -> Planes:
        """A real or complex number or tensor as planes."""
        if isinstance(value, Planes):
            return value
        if isinstance(value, complex):
            return Planes(value.real, value.imag)
        if isinstance(value, Tensor) and value.is_complex():
            return Planes(value.real, value.imag)
        return Planes(value)

    @property
    def imag(self) -> Tensor:
        """The imaginary part as a tensor of its own."""
        if self.im is None:
            return torch.zeros_like(self.re)
        im: Tensor = self.im if self.sign > 0 else -self.im
        return im

    def each(self, function: Callable[[Any], Any]) -> Planes:
        """Apply a real linear function to both parts."""
        im = None if self.im is None else function(self.im)
        return Planes(function(self.re), im, self.sign)


@dataclass(frozen=True)
class Pairs:
    """A real tensor [..., 2] with both parts of complex numbers, as `view_as_real` returns.

    Attributes:
        re, im: real tensors [...].
        rows: whether the tensor is a view [K, 2n] instead, whose columns have no order.
    """

    re: Tensor
    im: Tensor
    rows: bool = False


def is_planes(value: Any) -> bool:
    """Whether a value is a complex tensor in two parts."""
    return isinstance(value, Planes)


def parts_of(values: Any) -> list[Tensor]:
    """Both parts of each complex tensor, and the real tensors, in their order.

    Args:
        values: nested tuples, lists and dicts of tensors and `Planes`.
    """
    parts: list[Tensor] = []
    for leaf in pytree.tree_leaves(values, is_leaf=is_planes):
        if is_planes(leaf) or leaf.is_complex():
            planes = Planes.of(leaf)
            parts += [planes.re.contiguous(), planes.imag.contiguous()]
        else:
            parts.append(leaf.contiguous())
    return parts
