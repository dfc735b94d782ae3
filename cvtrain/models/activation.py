"""Activations by name, and their counterparts in real networks.

They are torchcvnn's, except cardioid and modReLU: the same functions with an explicit backward,
which needs a third of the passes over memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torchcvnn.nn
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def phase(z: Tensor) -> Tensor:
    """u = z/|z| = exp(i·arg z); 1 at z = 0, since arg 0 = 0."""
    # Adding the smallest normal number changes no other entry and makes 1 of a zero. This is as
    # fast as sgn alone, while a mask would take two more passes.
    return (z + torch.finfo(z.dtype).tiny).sgn()


def conjugate_product_real(u: Tensor, z: Tensor) -> Tensor:
    """Re(u*z), real: the component of z along u; |z| where u is the phase of z."""
    return (u.real * z.real).add_(u.imag * z.imag)


class _Cardioid(torch.autograd.Function):
    """f(z) = ½(1 + c)·z with u = z/|z| = c + i·s; u = 1 at z = 0.

    For G = ∂L/∂Re f + i·∂L/∂Im f, since ∇c = s·(s − i·c)/|z|::

        ∂L/∂Re z + i·∂L/∂Im z = ½(1 + c)·G + ½ Re(u*G)·s·(s − i·c)
    """

    @staticmethod
    def forward(z: Tensor) -> tuple[Tensor, Tensor]:
        u = phase(z)
        return (0.5 + 0.5 * u.real) * z, u

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, *_: Any) -> Tensor | None:
        if grad is None:
            return None
        (u,) = ctx.saved_tensors
        c, s = u.real, u.imag
        turning = conjugate_product_real(u, grad).mul_(s).mul_(0.5)
        grad_z: Tensor = (0.5 + 0.5 * c) * grad
        grad_z.real.add_(turning * s)
        grad_z.imag.sub_(turning * c)
        return grad_z

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None], z: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[int | None, ...]]:
        return _cardioid(z), (in_dims[0], in_dims[0])


# Some versions of torch have no type for `apply`.
_cardioid: Callable[..., Any] = _Cardioid.apply


class Cardioid(torchcvnn.nn.Cardioid):  # type: ignore[misc]  # torchcvnn has no types
    """f(z) = ½(1 + cos arg z)·z: the same numbers as torchcvnn's Cardioid, including gradients at
    0. Second derivatives are not available.

    Virtue, Yu, Lustig 2017, Better than real: complex-valued neural nets for MRI fingerprinting.
    """

    def forward(self, z: Tensor) -> Tensor:
        """f of each entry of complex z, in its shape and dtype."""
        out: Tensor = _cardioid(z)[0]
        return out


class _ModReLU(torch.autograd.Function):
    """f(z) = m·u with u = z/|z|, r = |z| and m = ReLU(r + b); u = 1 at z = 0.

    For G = ∂L/∂Re f + i·∂L/∂Im f, and a = 1 where m > 0, else 0::

        ∂L/∂Re z + i·∂L/∂Im z = (m/r)·G − a·(b/r)·Re(u*G)·u        (0 at z = 0)
        ∂L/∂b = Σ a·Re(u*G)
    """

    @staticmethod
    def forward(z: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        u = phase(z)
        r = conjugate_product_real(u, z)
        m = (r + b).relu_()
        return u * m, u, r, m

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, ...]) -> None:
        _, u, r, m = output
        ctx.mark_non_differentiable(u, r, m)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(inputs[1], u, r, m)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, *_: Any) -> tuple[Tensor | None, Tensor | None]:
        if grad is None:
            return None, None
        b, u, r, m = ctx.saved_tensors
        along = conjugate_product_real(u, grad).mul_(m.sign())
        inverse = r.reciprocal().nan_to_num_(nan=torch.nan, posinf=0.0)
        grad_z = (m * inverse) * grad
        grad_z.sub_(u * (inverse * b).mul_(along))
        return grad_z, along.sum_to_size(b.shape)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, int | None], z: Tensor, b: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        z_dim, b_dim = in_dims
        z = z.expand(info.batch_size, *z.shape) if z_dim is None else z.movedim(z_dim, 0)
        if b_dim is not None:
            b = b.movedim(b_dim, 0)
            b = b.reshape(len(b), *(1,) * (z.dim() - b.dim()), *b.shape[1:])
        return _mod_relu(z, b), (0, 0, 0, 0)


_mod_relu: Callable[..., Any] = _ModReLU.apply


class ModReLU(torchcvnn.nn.modReLU):  # type: ignore[misc]  # torchcvnn has no types
    """f(z) = ReLU(|z| + b)·z/|z|, with f(0) = ReLU(b): the same parameter and numbers as
    torchcvnn's modReLU, including gradients at 0. Second derivatives are not available.

    Arjovsky, Shah, Bengio 2016, Unitary evolution recurrent neural networks, equation 8.

    Args:
        units: number of biases, for z [..., units]; None: one bias for all entries.

    Attributes:
        b: bias, real, initially zero; a scalar or [units].
    """

    def __init__(self, units: int | None = None) -> None:
        super().__init__()
        if units is not None:
            self.b = nn.Parameter(torch.zeros(units))

    def forward(self, z: Tensor) -> Tensor:
        """f of each entry of complex z, in its shape and dtype."""
        out: Tensor = _mod_relu(z, self.b)[0]
        return out


# Left out: Mod, whose output is real, and zAbsReLU, whose radius never has a gradient.
ACTIVATIONS = (
    "Cardioid",
    "modReLU",
    "zReLU",
    "zLeakyReLU",
    "CReLU",
    "CPReLU",
    "CELU",
    "CCELU",
    "CGELU",
    "CSigmoid",
    "CTanh",
)
"""Activations by name. modReLU, zLeakyReLU and CPReLU have real parameters, float32 until cast."""

CHEAPER: dict[str, type[nn.Module]] = {"Cardioid": Cardioid, "modReLU": ModReLU}
"""Equal functions with equal parameters and an explicit backward, used in place of torchcvnn's."""

REAL_COUNTERPARTS: dict[str, Callable[[], nn.Module]] = {
    "Cardioid": nn.ReLU,
    "modReLU": nn.ReLU,
    "zReLU": nn.ReLU,
    "zLeakyReLU": partial(nn.PReLU, init=0.2),
    "CReLU": nn.ReLU,
    "CPReLU": nn.PReLU,
    "CELU": nn.ELU,
    "CCELU": nn.CELU,
    "CGELU": nn.GELU,
    "CSigmoid": nn.Sigmoid,
    "CTanh": nn.Tanh,
}
"""The real counterpart of each activation: the function that it applies to Re and Im, or that it is
on the real axis. For modReLU, which is linear on the real axis as long as its bias is 0, it is
ReLU."""


def activation(name: str, dtype: torch.dtype = torch.complex64) -> nn.Module:
    """Make an activation ℂ → ℂ, or ℝ → ℝ if `dtype` is real; `name` is not case-sensitive.

    Raises:
        ValueError: the activation is unknown.
    """
    by_lower_case = {known.lower(): known for known in ACTIVATIONS}
    if name.lower() not in by_lower_case:
        raise ValueError(f"activation={name}: should be one of {', '.join(ACTIVATIONS)}")
    known = by_lower_case[name.lower()]
    if not dtype.is_complex:
        return REAL_COUNTERPARTS[known]()
    kind = CHEAPER.get(known) or getattr(torchcvnn.nn, known)
    module: nn.Module = kind()
    return module
