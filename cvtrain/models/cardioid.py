"""The cardioid activation with its backward written out: torchcvnn's values in fewer passes."""

from __future__ import annotations

from typing import Any

import torch
import torchcvnn.nn
from torch import Tensor
from torch.autograd.function import once_differentiable

from cvtrain.models.phase import conjugate_product_real, phase


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
        return _Cardioid.apply(z), (in_dims[0], in_dims[0])  # type: ignore[no-untyped-call]  # torch's


class Cardioid(torchcvnn.nn.Cardioid):  # type: ignore[misc]  # torchcvnn has no types
    """f(z) = ½(1 + cos arg z)·z: torchcvnn's Cardioid and its numbers, gradients at 0 included.
    Second derivatives are not available.

    Virtue, Yu, Lustig 2017, Better than real: complex-valued neural nets for MRI fingerprinting.
    """

    def forward(self, z: Tensor) -> Tensor:
        """f of each entry of complex z, in its shape and dtype."""
        out: Tensor = _Cardioid.apply(z)[0]  # type: ignore[no-untyped-call]  # torch's
        return out
