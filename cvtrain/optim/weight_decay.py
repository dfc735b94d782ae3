"""Descent, and weight decay λ: coupled (a term of the gradient) or decoupled (shrinks the weights).

Numbers are Python numbers or [K] tensors; weights, gradients and directions are [K, ...].
"""

from __future__ import annotations

import torch
from torch import Tensor

from cvtrain.gradients.stacked_number import Number, column, float64, where_nonzero
from cvtrain.optim.rule import Hyperparameters


def coupled(g: Tensor, w: Tensor, weight_decay: Number) -> Tensor:
    """g + λw, the gradient of L + ½λ‖w‖² in PyTorch's convention; g itself for members with λ = 0.

    Under g → c·g the same weights need λ → c·λ.
    """
    return where_nonzero(
        weight_decay, lambda: torch.addcmul(g, column(weight_decay, w), w), plain=g
    )


def decoupled(w: Tensor, lr: Number, weight_decay: Number) -> Tensor:
    """(1 − lr·λ)w; w itself for members with λ = 0.

    The gradient is not involved, so λ stays unchanged under g → c·g (Loshchilov and Hutter 2019,
    Decoupled weight decay regularization).
    """
    return where_nonzero(
        weight_decay,
        lambda: column(1 - float64(lr) * float64(weight_decay), w) * w,
        plain=w,
    )


def decay(w: Tensor, g: Tensor, h: Hyperparameters) -> tuple[Tensor, Tensor]:
    """w and g after weight decay: `decoupled` if h["decoupled_weight_decay"], else `coupled`."""
    if h["decoupled_weight_decay"]:
        return decoupled(w, h["lr"], h["weight_decay"]), g
    return w, coupled(g, w, h["weight_decay"])


def descend(w: Tensor, lr: Number, d: Tensor) -> Tensor:
    """w − lr·d."""
    return torch.addcmul(w, column(-float64(lr), w), d)
