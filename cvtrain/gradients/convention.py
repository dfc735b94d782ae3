"""The gradient convention: the gradient that the optimizer receives instead of g.

For a real loss L and a complex weight w = a + ib, PyTorch leaves in ``w.grad``::

    g = ∂L/∂a + i ∂L/∂b = 2 ∂L/∂w*,        ∂L/∂w* = ½ (∂L/∂a + i ∂L/∂b)

the direction of steepest ascent over the plane, since dL = Re(g* dw).

Where the 2 comes from: dL = ∂L/∂z dz + ∂L/∂z* dz*, and for a real L the two terms are conjugates of
each other, so dL = 2 Re((∂L/∂z*)* dz). The factor arises once, at the real loss. Further back,
through any s = f(z), the chain rule is linear in g and adds no factor::

    g_z = (∂s/∂z)* g_s + ∂s/∂z* g_s*

Halving g at the weight therefore halves it once, at any depth; halving at every operation would be
a mistake that grows with depth.

Why only complex parameters: for a real r, ∂L/∂r = Re((∂z/∂r)* g_z) is the ordinary derivative, and
it needs the whole of g_z. All conventions agree on it. A ½, a mean or a sum in the loss acts on
real parameters too: that is the scale of the objective, which is a different factor.

Brandwood 1983, A complex gradient operator and its application in adaptive array theory;
Kreutz-Delgado 2009, arXiv:0906.4835; PyTorch, Autograd mechanics, "Autograd for complex numbers".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cvtrain.gradients.stacked_number import column


@dataclass(frozen=True)
class Convention:
    """Turns the gradient g of complex parameters into scale · g, or scale · g*.

    Attributes:
        scale: factor relative to g = 2 ∂L/∂w*; a number, or a [K] tensor on the CPU.
        conjugate: whether g is conjugated; a bool, or a [K] tensor of bools.
    """

    scale: float | Tensor = 1.0
    conjugate: bool | Tensor = False

    def apply(self, gradient: Tensor) -> Tensor:
        """The gradient [K, ...] in this convention, in its own dtype.

        A real gradient is returned unchanged, and so is any gradient under scale 1 without
        conjugation. Re and Im are each multiplied once, hence exactly if the scale is a power of
        two.
        """
        if not gradient.is_complex() or self._is_identity:
            return gradient
        parts = torch.view_as_real(gradient.resolve_conj())
        real = parts[..., 0]
        scale, sign = column(self.scale, real), 1 - 2 * column(self.conjugate, real)
        signed = scale * sign
        return torch.view_as_complex(parts * torch.stack((scale.expand_as(signed), signed), dim=-1))

    @property
    def _is_identity(self) -> bool:
        # Branch only on Python numbers: a branch on a tensor's value would treat members
        # differently.
        if isinstance(self.scale, Tensor) or isinstance(self.conjugate, Tensor):
            return False
        return self.scale == 1 and not self.conjugate


CONVENTIONS = {
    "pytorch": Convention(),
    "wirtinger": Convention(scale=0.5),
    "unconjugated": Convention(conjugate=True),
    "unconjugated_wirtinger": Convention(scale=0.5, conjugate=True),
}
"""The conventions g = 2 ∂L/∂w*, ∂L/∂w*, 2 ∂L/∂w and ∂L/∂w, by name."""


def convention_name(scale: float, conjugate: bool) -> str:
    """The convention's name in `CONVENTIONS`, or e.g. ``scale=0.25,conjugate`` if it has none."""
    for name, convention in CONVENTIONS.items():
        if convention == Convention(scale, conjugate):
            return name
    return f"scale={str(float(scale)).removesuffix('.0')}" + (",conjugate" if conjugate else "")


def gradient_ratio(dtype: torch.dtype = torch.complex128) -> complex:
    """The ratio of ``w.grad`` to ∂L/∂w* in this build of torch, for L = |wx − y|² at one point.

    ∂L/∂w* = (ŷ − y) x* of L itself, without a mean over samples and without ½.
    """
    w, x, y = (torch.tensor(z, dtype=dtype) for z in (1.5 - 0.5j, -0.75 + 2j, 0.25 + 1j))
    with torch.enable_grad():
        w.requires_grad_()
        error = w * x - y
        torch.autograd.backward(error.abs().square())
    assert w.grad is not None
    return complex((w.grad / (error.detach() * x.conj())).item())


def self_check(dtype: torch.dtype = torch.complex128) -> str:
    """Measure the convention of ``w.grad`` and describe it in one line.

    Raises:
        RuntimeError: it is not 2 ∂L/∂w*, on which cvtrain is built.
    """
    ratio = gradient_ratio(dtype)
    if not abs(ratio - 2) < 64 * torch.finfo(dtype).eps:
        raise RuntimeError(
            f"torch {torch.__version__}: w.grad is {ratio:.6g} × ∂L/∂w*, not 2 × as cvtrain assumes"
        )
    return f"w.grad = 2 ∂L/∂w* (measured with torch {torch.__version__}, {dtype})"
