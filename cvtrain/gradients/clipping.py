"""Clipping of gradients before the optimizer receives them.

Every kind scales with its threshold: for c = 2ᵏ, clipping c·g at c·threshold (and c·eps) gives c
times the clipped g, bit for bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from cvtrain.gradients.stacked_number import Number, column, require

Clipped: TypeAlias = tuple[dict[str, Tensor], Tensor]
"""The clipped gradients, and the coefficient ‖clipped‖/‖unclipped‖, real [K]."""


@dataclass(frozen=True)
class NoClip:
    """No clipping."""

    def clip(self, gradients: Mapping[str, Tensor]) -> Clipped:
        """The same tensors, and coefficients of 1."""
        first = next(iter(gradients.values()))
        return dict(gradients), first.new_ones(len(first), dtype=first.dtype.to_real())


@dataclass(frozen=True)
class NormClip:
    """Clips the norm over all parameters of a run: g · min(1, threshold / (‖g‖ + eps)).

    For K = 1 it is bit-identical to torch.nn.utils.clip_grad_norm_. Complex and real parameters
    share one norm, so the convention, which acts on the complex ones, also changes how strongly
    real ones are clipped.

    Attributes:
        threshold: largest norm; a number, or a [K] tensor on the CPU.
        eps: added to the norm, so that small norms are not divided by; 1e-6 in torch; a number or a
            [K] tensor.

    Raises:
        ValueError: one of them is negative or not finite.
    """

    threshold: Number
    eps: Number = 1e-6

    def __post_init__(self) -> None:
        require("threshold", self.threshold)
        require("eps", self.eps)

    def clip(self, gradients: Mapping[str, Tensor]) -> Clipped:
        """Gradients [K, ...] after clipping, and the applied coefficient (1 for a zero
        gradient)."""
        norm = total_norm(gradients)
        # Not threshold / (…): torch divides a number by a tensor with these two roundings.
        inverse = (norm + column(self.eps, norm)).reciprocal()
        coefficient = (inverse * column(self.threshold, norm)).clamp(max=1.0).where(norm != 0, 1.0)

        def scaled(parts: Tensor) -> Tensor:
            return parts * coefficient.reshape(-1, *(1 for _ in parts.shape[1:]))

        return {name: _by_parts(scaled, g) for name, g in gradients.items()}, coefficient


@dataclass(frozen=True)
class _EntryClip(ABC):
    """Clips each entry separately.

    Attributes:
        threshold: a number, or a [K] tensor on the CPU.

    Raises:
        ValueError: `threshold` is negative or not finite.
    """

    threshold: Number

    def __post_init__(self) -> None:
        require("threshold", self.threshold)

    def clip(self, gradients: Mapping[str, Tensor]) -> Clipped:
        """Gradients [K, ...] after clipping, and ‖clipped‖/‖unclipped‖ (1 for a zero gradient)."""
        clipped = {name: self._clip_entries(g) for name, g in gradients.items()}
        return _with_ratio(clipped, gradients)

    @abstractmethod
    def _clip_entries(self, g: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class ModulusClip(_EntryClip):
    """Clips each entry to the disc |g| ≤ threshold and keeps its phase: g · min(1, threshold /
    |g|).

    A real entry is clipped to ±threshold.
    """

    def _clip_entries(self, g: Tensor) -> Tensor:
        if not g.is_complex():
            return _into_interval(g, self.threshold)
        modulus = g.abs()
        radius = column(self.threshold, modulus)
        coefficient = (radius / modulus).where(modulus > radius, 1.0).unsqueeze(-1)
        return _by_parts(lambda parts: parts * coefficient, g)


@dataclass(frozen=True)
class SplitClip(_EntryClip):
    """Clips Re and Im of each entry to ±threshold: a square, which changes the phase.

    torch.nn.utils.clip_grad_value_ does this to two real parameters (it rejects complex ones).
    """

    def _clip_entries(self, g: Tensor) -> Tensor:
        return _by_parts(lambda parts: _into_interval(parts, self.threshold), g)


Clip: TypeAlias = NoClip | NormClip | ModulusClip | SplitClip


def total_norm(gradients: Mapping[str, Tensor]) -> Tensor:
    """‖g‖ = √Σ|gⱼ|² over all parameters of a point, real [K]."""
    # torch sums the norms by dtype, the last dtype to appear first: follow it, bit for bit.
    by_dtype: dict[torch.dtype, list[Tensor]] = {}
    for g in gradients.values():
        # With a last axis of one entry, so that a [K] gradient of scalars also has an axis to sum
        # over.
        norm = torch.linalg.vector_norm(g.unsqueeze(-1), dim=tuple(range(1, g.dim() + 1)))
        by_dtype.setdefault(g.dtype, []).append(norm)
    norms = [norm for dtype in reversed(by_dtype) for norm in by_dtype[dtype]]
    total: Tensor = torch.linalg.vector_norm(torch.stack(norms, dim=1), dim=1)
    return total


def _by_parts(function: Callable[[Tensor], Tensor], g: Tensor) -> Tensor:
    # Re and Im as reals: a complex product would round more, and mix in an infinite other part.
    if not g.is_complex():
        return function(g)
    return torch.view_as_complex(function(torch.view_as_real(g.resolve_conj())))


def _into_interval(parts: Tensor, threshold: Number) -> Tensor:
    bound = column(threshold, parts)
    return parts.clamp(-bound, bound)


def _with_ratio(clipped: dict[str, Tensor], gradients: Mapping[str, Tensor]) -> Clipped:
    before = total_norm(gradients)
    ratio = total_norm(clipped) / before
    return clipped, torch.where(before == 0, torch.ones_like(ratio), ratio)
