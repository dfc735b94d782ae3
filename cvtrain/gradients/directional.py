"""Measure a gradient without autograd, by finite differences of the function itself.

For a real L and a direction d, with G = ∂L/∂Re w + i ∂L/∂Im w = 2 ∂L/∂w*::

    d/dt L(w + t d) at t = 0   =   Re Σ G* d

Autograd's g is compared with this along random directions: an error e of g shows as Re Σ e* d,
which is zero for almost no d.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack

import torch
from torch import Tensor

from cvtrain.gradients.differences import slope_at_zero
from cvtrain.gradients.measured_gradient import (
    DIRECTIONS,
    GradientReading,
    MeasuredGradient,
    slope_along,
)

JOINT_TOLERANCE = 1e-4
"""Largest error of derivatives along all parameters together, relative to a gradient."""


def read_gradients(
    function: Callable[[], Tensor], variables: Mapping[str, Tensor], seed: int = 0
) -> dict[str, GradientReading]:
    """Compare the gradients that autograd computes with derivatives along random directions.

    Args:
        function: function that returns a real number [], the same at every call; it reads the
            variables.
        variables: leaves that require a gradient, by name; real or complex, in double precision for
            sharp readings. They are changed meanwhile and restored.
        seed: seed of the directions.
    """
    for variable in variables.values():
        variable.grad = None
    with torch.enable_grad():
        value = function()
        if value.requires_grad:
            torch.autograd.backward(value)
    generator = torch.Generator().manual_seed(seed)
    measured = {name: MeasuredGradient(function, v, generator) for name, v in variables.items()}
    # All variables together first: in a network without faults this settles nearly every parameter.
    together = _agreeing_together(measured) | _idle_together(measured)
    return {name: together.get(name) or one.reading for name, one in measured.items()}


def _idle_together(measured: Mapping[str, MeasuredGradient]) -> dict[str, GradientReading]:
    """Readings of the variables without a gradient, if the function does not change along
    directions of all of them together."""
    idle = {name: one for name, one in measured.items() if one.is_idle}
    for _ in range(DIRECTIONS if len(idle) > 1 else 0):
        moves = [(one, one.random_direction()) for one in idle.values()]
        enough = min(one.enough for one, _ in moves)
        slope, uncertainty = _slope_along_all(moves, enough)
        if abs(slope) > 10 * uncertainty or uncertainty > enough:
            return {}
    unused = {name: one.gradient is None for name, one in idle.items()}
    readings = {name: GradientReading("unused" if u else "zero") for name, u in unused.items()}
    return readings if len(idle) > 1 else {}


def _slope_along_all(
    moves: list[tuple[MeasuredGradient, Tensor]], enough: float
) -> tuple[float, float]:
    """The derivative along directions of several variables, in units of their sizes, and the
    distance between its estimates."""

    def at(length: float) -> float:
        with ExitStack() as stack:
            for one, direction in moves:
                stack.enter_context(one.moved(length * one.size, direction))
            return moves[0][0].value()

    eps = max(one.eps for one, _ in moves)
    return slope_at_zero(at, eps**0.25, enough, eps * abs(at(0.0)))


def _agreeing_together(measured: Mapping[str, MeasuredGradient]) -> dict[str, GradientReading]:
    """Readings of variables whose gradients are certainly PyTorch's, because they contribute enough
    to derivatives along directions of all variables together."""
    parts = {name: one.part for name, one in measured.items() if one.part > 0}
    errors: list[float] = []
    for _ in range(DIRECTIONS if len(parts) > 1 else 0):
        moves = [(measured[name], measured[name].random_direction()) for name in parts]
        slope, uncertainty = _slope_along_all(moves, JOINT_TOLERANCE * min(parts.values()))
        expected = sum(
            one.size * slope_along(g, d) for one, d in moves if (g := one.gradient) is not None
        )
        errors.append(abs(slope - expected) + uncertainty)
    return {
        name: GradientReading("read", "pytorch", error=max(errors) / part)
        for name, part in parts.items()
        if errors and max(errors) <= JOINT_TOLERANCE * part
    }
