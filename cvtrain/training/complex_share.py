"""The share of the squared gradient of the whole training set that complex parameters carry.

It determines by how much a convention slows the fall of the loss (`cvtrain.theory.factor_octaves`).
The share in the gradient of a batch does not, because its noise is mostly in the many complex
weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cvtrain.config.schema import Config
from cvtrain.data.batches import BatchOrder
from cvtrain.process.errors import InputError
from cvtrain.training.data_parallel import devices_wanted
from cvtrain.training.signals import norm

if TYPE_CHECKING:
    from cvtrain.training.module_state import ModuleState

TAG = "grad/complex_share"


def complex_share(state: ModuleState) -> Tensor:
    """The share s = Σ_complex |g|² / Σ |g|² of each run, real [K] in [0, 1], at its weights.

    g is the gradient of the mean loss over the training split, in training mode, summed over the
    batches of an epoch. Weights, buffers, gradients and random numbers are restored.

    Returns:
        s; NaN if the gradient is 0 or not finite. If all trained parameters are complex or all are
        real, s is 1 or 0 without computing a gradient.
    """
    kinds = {p.is_complex() for p in state.trained.values()}
    weights = state.weights()
    if len(kinds) == 1:
        return norm(weights).new_full((state.members,), float(kinds == {True}))
    gradients = _whole_gradients(state)
    carried = norm({name: g for name, g in gradients.items() if g.is_complex()}).square()
    return carried / norm(gradients).square()


def _whole_gradients(state: ModuleState) -> dict[str, Tensor]:
    """Gradients [K, …] of the mean loss over the training split, by name."""
    order = BatchOrder(len(state.dataset.train), state.config.batch_size, seed=0)
    parameters = list(state.trained.values())
    sums = [torch.zeros_like(p) for p in parameters]
    buffers = {name: b.clone() for name, b in state.network_buffers().items()}
    with state.random_numbers_put_back(), torch.enable_grad():
        for batch in range(order.steps_per_epoch):
            share = len(order.indices(batch)) / order.samples
            losses = state.batch_losses(batch)
            parts = torch.autograd.grad(losses.sum(), parameters, allow_unused=True)
            for total, part in zip(sums, parts, strict=True):
                if part is not None:
                    total.add_(part.to_dense(), alpha=share)
    with torch.no_grad():
        for name, buffer in state.network_buffers().items():
            buffer.copy_(buffers[name])
    return {
        name: total if state.leading_axis else total.unsqueeze(0)
        for name, total in zip(state.trained, sums, strict=True)
    }


def check_complex_share(config: Config) -> None:
    """Check `signals.complex_share` of a configuration.

    Raises:
        InputError: the loss is that of a `training_step`, or several processes share a batch.
    """
    if not config.signals.complex_share:
        return
    if config.module.target is not None:
        raise InputError(
            "signals.complex_share=true: should be false with module=custom, whose training_step"
            " would be called for batches that train nothing"
        )
    if (devices := devices_wanted(config.trainer)) > 1:
        raise InputError(
            f"signals.complex_share=true: should be false with trainer.devices={devices}"
        )
