"""What a gradient is, measured without autograd: by differences of the function itself.

For a real L and a direction d, with G = ∂L/∂Re w + i ∂L/∂Im w = 2 ∂L/∂w*::

    d/dt L(w + t d) at t = 0   =   Re Σ G* d

Autograd's own g is compared with that along random directions: an error e of g shows as Re Σ e* d,
which is zero for almost no d.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from cvtrain.gradients.convention import CONVENTIONS

DIRECTIONS = 3
STEPS = (1.0, 0.1, 0.01, 10.0)
"""In ε^¼ times the size of the weights, tried in this order."""
JOINT_TOLERANCE = 1e-4
"""Largest error, relative to a gradient, that derivatives along all parameters together leave."""
RESOLVED = 0.05
"""Largest uncertainty, relative to the gradient, with which conventions are still told apart."""

State: TypeAlias = Literal[
    "read", "factor", "wrong", "detached", "zero", "unused", "kink", "unclear", "not finite"
]


@dataclass(frozen=True)
class GradientReading:
    """What ``w.grad`` is of one parameter.

    Attributes:
        state: ``read``: as in `convention`; ``factor``: `factor` times 2 ∂L/∂w*; ``wrong``:
            neither; ``detached``: zero or None, although the loss depends on the parameter;
            ``zero`` and ``unused`` (None): it does not depend on it; ``kink``: L has no derivative
            at these weights; ``unclear``: differences of L are too inexact; ``not finite``:
            entries of ``w.grad`` are NaN or infinite.
        convention: a name in `CONVENTIONS`, or None. A real parameter has only ``pytorch``.
        factor: as for the state ``factor``, else None.
        error: largest disagreement with the derivative along a direction, relative to ‖g‖: with
            that of `convention`, or of PyTorch's where there is none.
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


def read_gradients(
    function: Callable[[], Tensor], variables: Mapping[str, Tensor], seed: int = 0
) -> dict[str, GradientReading]:
    """Compare the gradients that autograd computes with derivatives along random directions.

    Args:
        function: returns a real number [], the same at every call; it reads the variables.
        variables: leaves that require a gradient, by name; real or complex, in double precision if
            readings are to be sharp. Changed while this runs, and put back.
        seed: of the directions.
    """
    for variable in variables.values():
        variable.grad = None
    with torch.enable_grad():
        value = function()
        if value.requires_grad:
            torch.autograd.backward(value)
    generator = torch.Generator().manual_seed(seed)
    measured = {name: _Measured(function, v, generator) for name, v in variables.items()}
    # All at once first: in a network without faults that answers for nearly every parameter.
    agreeing = _agreeing_together(measured)
    return {name: agreeing.get(name) or one.reading for name, one in measured.items()}


def _agreeing_together(measured: Mapping[str, _Measured]) -> dict[str, GradientReading]:
    """Readings of the variables whose part in derivatives along directions of all variables
    together is large enough to be sure that their gradients are PyTorch's."""
    parts = {name: one.part for name, one in measured.items() if one.part > 0}
    errors: list[float] = []
    for _ in range(DIRECTIONS if len(parts) > 1 else 0):
        moves = [(measured[name], measured[name].random_direction()) for name in parts]

        def at(length: float, moves: list[tuple[_Measured, Tensor]] = moves) -> float:
            with ExitStack() as stack:
                for one, direction in moves:
                    stack.enter_context(one.moved(length * one.size, direction))
                return moves[0][0].value()

        eps = max(one.eps for one, _ in moves)
        enough, rounding = JOINT_TOLERANCE * min(parts.values()), eps * abs(at(0.0))
        slope, uncertainty = _slope_at_zero(at, eps**0.25, enough, rounding)
        expected = sum(
            one.size * _slope(g, d) for one, d in moves if (g := one.gradient) is not None
        )
        errors.append(abs(slope - expected) + uncertainty)
    return {
        name: GradientReading("read", "pytorch", error=max(errors) / part)
        for name, part in parts.items()
        if errors and max(errors) <= JOINT_TOLERANCE * part
    }


def _slope_at_zero(
    at: Callable[[float], float], unit: float, enough: float, rounding: float
) -> tuple[float, float]:
    """The derivative of a function at 0 by central differences, and how far estimates are apart.

    Args:
        at, unit: the function, and a length of which `STEPS` are multiples.
        enough: uncertainty with which no further steps are tried.
        rounding: of the function's values; two estimates may agree by chance.
    """
    best, least = 0.0, math.inf
    for step in STEPS:
        t = step * unit
        wide, narrow = ((at(d) - at(-d)) / (2 * d) for d in (t, t / 2))
        if abs(wide - narrow) + rounding / t < least:
            best, least = (4 * narrow - wide) / 3, abs(wide - narrow) + rounding / t
        if least <= enough:
            break
    return best, least


@dataclass(frozen=True)
class _Slope:
    """A derivative along a direction, and how far estimates of it are apart."""

    direction: Tensor
    value: float = 0.0
    uncertainty: float = math.inf


class _Measured:
    """A variable, its gradient, and derivatives along a few directions."""

    def __init__(
        self, function: Callable[[], Tensor], variable: Tensor, generator: torch.Generator
    ) -> None:
        self._function, self._variable = function, variable
        self._generator = generator
        self.gradient = variable.grad
        self.eps = torch.finfo(variable.dtype).eps

    @property
    def reading(self) -> GradientReading:
        g = self.gradient
        if g is not None and not bool(torch.isfinite(g).all()):
            return GradientReading("not finite")
        if g is None or not bool(g.any()):
            state: State = "unused" if g is None else "zero"
            return GradientReading("detached" if self._has_slope else state)
        if self._is_rounding(g) and not self._has_slope:
            return GradientReading("zero")
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

    def _contradiction(self, g: Tensor) -> GradientReading:
        error = max(abs(s.value - _slope(g, s.direction)) for s in self._slopes) / _norm(g)
        expected = [_slope(g, s.direction) for s in self._slopes]
        found = sum(e * s.value for e, s in zip(expected, self._slopes, strict=True))
        ratio = found / sum(e * e for e in expected)
        if ratio != 0 and self._disagreement(g * ratio) is not None:
            return GradientReading("factor", factor=1 / ratio, error=error)
        return GradientReading("wrong", error=error)

    def _disagreement(self, expected: Tensor) -> float | None:
        """Largest relative disagreement of the slopes with those of a gradient, if they agree."""
        size, worst = _norm(expected), 0.0
        for s in self._slopes:
            off = abs(s.value - _slope(expected, s.direction))
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

    def _is_rounding(self, g: Tensor) -> bool:
        """Whether it is what rounding leaves of 0, as of a bias before a batch normalisation."""
        return _norm(g) < float(self.eps**0.75) * self._steepness

    def _roughness(self, g: Tensor) -> bool | None:
        """Whether the slopes forwards and backwards differ however near one looks, as at a kink;
        None if the nearer the more, as rounding makes them."""
        here = self.value()
        for s in self._slopes:
            near, nearer = (
                abs(self._at(t, s) - 2 * here + self._at(-t, s)) / t
                for t in (self._unit, 0.01 * self._unit)
            )
            if 0.5 * near < nearer < 2 * near and nearer > self._tolerance * _norm(g):
                return True
            if 2 * near < nearer and abs(s.value - _slope(g, s.direction)) < 10 * nearer:
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

    def _slope_along(self, direction: Tensor) -> _Slope:
        norm = 0.0 if self.gradient is None else _norm(self.gradient)
        enough = max(0.1 * self._tolerance * norm, 2 * self.eps**0.75 * self._steepness)

        along = _Slope(direction)
        value, uncertainty = _slope_at_zero(
            lambda t: self._at(t, along), self._unit, enough, self.eps * abs(self.value())
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
        """The variable is elsewhere within the block."""
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


def _slope(gradient: Tensor, direction: Tensor) -> float:
    """Re Σ g* d."""
    product = gradient.conj() * direction
    return float(product.real.sum() if product.is_complex() else product.sum())


def _norm(gradient: Tensor) -> float:
    return float(torch.linalg.vector_norm(gradient))
