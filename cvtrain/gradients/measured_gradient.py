"""The gradient of one variable, compared with derivatives along a few directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from cvtrain.gradients.convention import CONVENTIONS
from cvtrain.gradients.differences import NEAR, STEPS, slope_at_zero

DIRECTIONS = 3
RESOLVED = 0.05
"""Largest uncertainty, relative to the gradient, at which conventions can still be
distinguished."""

State: TypeAlias = Literal[
    "read", "factor", "wrong", "detached", "zero", "unused", "kink", "unclear", "not finite"
]


@dataclass(frozen=True)
class GradientReading:
    """The meaning of ``w.grad`` of one parameter.

    Attributes:
        state: ``read``: as in `convention`; ``factor``: `factor` times 2 ∂L/∂w*; ``wrong``:
            neither; ``detached``: zero or None, although the loss depends on the parameter;
            ``zero`` and ``unused`` (None): the loss does not depend on it; ``kink``: L has no
            derivative at these weights; ``unclear``: differences of L are too inexact; ``not
            finite``: entries of ``w.grad`` are NaN or infinite.
        convention: a name in `CONVENTIONS`, or None. A real parameter can only have ``pytorch``.
        factor: factor for the state ``factor``, else None.
        error: largest disagreement with the derivative along a direction, relative to ‖g‖, under
            `convention` (without one, under PyTorch's).
    """

    state: State
    convention: str | None = None
    factor: float | None = None
    error: float = 0.0

    @property
    def contradicts(self) -> bool:
        """Whether ``w.grad`` is certainly not what PyTorch's autograd should have computed."""
        other = self.state == "read" and self.convention != "pytorch"
        return other or self.state in ("factor", "wrong", "detached")


@dataclass(frozen=True)
class _Slope:
    """A derivative along a direction, and the distance between its estimates."""

    direction: Tensor
    value: float = 0.0
    uncertainty: float = float("inf")


class MeasuredGradient:
    """A variable, its gradient, and derivatives along a few directions.

    Args:
        function: function that returns a real number [], the same at every call; it reads the
            variable.
        variable: a leaf with its gradient.
        generator: source of the directions.
    """

    def __init__(
        self, function: Callable[[], Tensor], variable: Tensor, generator: torch.Generator
    ) -> None:
        self._function, self._variable = function, variable
        self._generator = generator
        self.gradient = variable.grad
        self.eps = torch.finfo(variable.dtype).eps

    @property
    def reading(self) -> GradientReading:
        """Classify the gradient."""
        g = self.gradient
        if g is not None and not bool(torch.isfinite(g).all()):
            return GradientReading("not finite")
        if g is None or not bool(g.any()):
            state: State = "unused" if g is None else "zero"
            return GradientReading("detached" if self._has_slope else state)
        if self._is_rounding(g) and not self._has_slope:
            return GradientReading("zero")
        for near in (False, True):  # a kink within the usual steps may look like a wrong gradient
            if near and not self._look_nearer(g):
                break
            for name, convention in CONVENTIONS.items():
                if name == "pytorch" or g.is_complex():
                    undone = g.conj() if convention.conjugate else g
                    error = self._disagreement(undone / float(convention.scale))
                    if error is not None:
                        return GradientReading("read", name, error=error)
        unresolved = any(not s.uncertainty <= RESOLVED * _norm(g) for s in self._slopes)
        roughness = None if unresolved else self._roughness(g)
        if roughness is None:
            return GradientReading("unclear")
        return GradientReading("kink") if roughness else self._contradiction(g)

    def _look_nearer(self, g: Tensor) -> bool:
        """Measure the slopes again with smaller steps, unless these are lost in rounding."""
        nearer = [self._slope_along(s.direction, NEAR) for s in self._slopes]
        if all(s.uncertainty <= RESOLVED * _norm(g) for s in nearer):
            self._slopes = nearer
            return True
        return False

    def _contradiction(self, g: Tensor) -> GradientReading:
        error = max(abs(s.value - slope_along(g, s.direction)) for s in self._slopes) / _norm(g)
        expected = [slope_along(g, s.direction) for s in self._slopes]
        product = sum(e * s.value for e, s in zip(expected, self._slopes, strict=True))
        ratio = product / sum(e * e for e in expected)
        if ratio != 0 and self._disagreement(g * ratio) is not None:
            return GradientReading("factor", factor=1 / ratio, error=error)
        return GradientReading("wrong", error=error)

    def _disagreement(self, expected: Tensor) -> float | None:
        """Largest relative disagreement of the slopes with those of `expected`; None if it exceeds
        the tolerance, or if the slopes are too uncertain."""
        size, worst = _norm(expected), 0.0
        for s in self._slopes:
            off = abs(s.value - slope_along(expected, s.direction))
            if not off <= self._tolerance * size + 10 * s.uncertainty <= RESOLVED * 10 * size:
                return None
            worst = max(worst, off / size)
        return worst

    @property
    def _tolerance(self) -> float:
        return max(1e-5, float(self.eps**0.25))

    @property
    def _has_slope(self) -> bool:
        return any(abs(s.value) > 10 * s.uncertainty for s in self._slopes)

    @property
    def is_idle(self) -> bool:
        """Whether the gradient is missing, zero, or nonzero only by rounding."""
        g = self.gradient
        return g is None or not bool(g.any()) or self._is_rounding(g)

    def _is_rounding(self, g: Tensor) -> bool:
        """Whether `g` is nonzero only by rounding, as of a bias before a batch normalisation."""
        return _norm(g) < float(self.eps**0.75) * self._steepness

    def _roughness(self, g: Tensor) -> bool | None:
        """Whether the slopes on both sides differ at every distance, as at a kink; None if they
        differ more at smaller distances, as rounding causes."""
        at_weights = self.value()
        for s in self._slopes:
            near, nearer = (
                abs(self._at(t, s) - 2 * at_weights + self._at(-t, s)) / t
                for t in (self._unit, 0.01 * self._unit)
            )
            if 0.5 * near < nearer < 2 * near and nearer > self._tolerance * _norm(g):
                return True
            if 2 * near < nearer and abs(s.value - slope_along(g, s.direction)) < 10 * nearer:
                return None
        return False

    @cached_property
    def _slopes(self) -> list[_Slope]:
        return [self._slope_along(self.random_direction()) for _ in range(DIRECTIONS)]

    def random_direction(self) -> Tensor:
        """A tensor like the variable, standard normal."""
        w = self._variable
        drawn = torch.randn(w.shape, dtype=w.dtype, generator=self._generator)
        return drawn.to(w.device)

    def _at(self, length: float, slope: _Slope) -> float:
        with self.moved(length, slope.direction):
            return self.value()

    @property
    def enough(self) -> float:
        """The uncertainty below which slopes along directions of the size of the weights count as
        zero."""
        return 2 * float(self.eps**0.75) * self._steepness * self.size

    def _slope_along(self, direction: Tensor, steps: tuple[float, ...] = STEPS) -> _Slope:
        norm = 0.0 if self.gradient is None else _norm(self.gradient)
        enough = max(0.1 * self._tolerance * norm, 2 * self.eps**0.75 * self._steepness)

        along = _Slope(direction)
        value, uncertainty = slope_at_zero(
            lambda t: self._at(t, along), self._unit, enough, self.eps * abs(self.value()), steps
        )
        return _Slope(direction, value, uncertainty)

    @property
    def part(self) -> float:
        """Size of the slopes along random directions of the size of the weights."""
        g = self.gradient
        if g is None or not bool(torch.isfinite(g).all()) or self._is_rounding(g):
            return 0.0
        return self.size * _norm(g)

    @cached_property
    def size(self) -> float:
        """Root mean square of the variable's entries; 0.1 where they are zero."""
        return float(self._variable.detach().abs().square().mean().sqrt()) or 0.1

    @property
    def _unit(self) -> float:
        """ε^¼ in the size of the weights, at which truncation and rounding are about as large."""
        return float(self.eps**0.25) * self.size

    @cached_property
    def _steepness(self) -> float:
        """The function's value per size of the weights."""
        return abs(self.value()) / self.size

    @contextmanager
    def moved(self, length: float, direction: Tensor) -> Iterator[None]:
        """Context in which the variable is moved along a direction."""
        before = self._variable.detach().clone()
        with torch.no_grad():
            self._variable.add_(length * direction)
        try:
            yield
        finally:
            with torch.no_grad():
                self._variable.copy_(before)

    def value(self) -> float:
        """The function's value."""
        with torch.no_grad():
            return float(self._function())


def slope_along(gradient: Tensor, direction: Tensor) -> float:
    """Re Σ g* d."""
    product = gradient.conj() * direction
    return float(product.real.sum() if product.is_complex() else product.sum())


def _norm(gradient: Tensor) -> float:
    return float(torch.linalg.vector_norm(gradient))
