"""modReLU with its backward written out: the values of torchcvnn's in a third of the passes."""

from __future__ import annotations

from typing import Any

import torch
import torchcvnn.nn
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from cvtrain.models.phase import conjugate_product_real, phase


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
        return _ModReLU.apply(z, b), (0, 0, 0, 0)  # type: ignore[no-untyped-call]  # torch's


class ModReLU(torchcvnn.nn.modReLU):  # type: ignore[misc]  # torchcvnn has no types
    """f(z) = ReLU(|z| + b)·z/|z|, with f(0) = ReLU(b): torchcvnn's modReLU, its parameter and its
    numbers, gradients at 0 included. Second derivatives are not available.

    Arjovsky, Shah, Bengio 2016, Unitary evolution recurrent neural networks, equation 8.

    Args:
        units: of a bias each, for z [..., units]; None: one bias for all entries.

    Attributes:
        b: real, zero at first; a scalar or [units].
    """

    def __init__(self, units: int | None = None) -> None:
        super().__init__()
        if units is not None:
            self.b = nn.Parameter(torch.zeros(units))

    def forward(self, z: Tensor) -> Tensor:
        """f of each entry of complex z, in its shape and dtype."""
        out: Tensor = _ModReLU.apply(z, self.b)[0]  # type: ignore[no-untyped-call]  # torch's
        return out
