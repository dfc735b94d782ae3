"""`GradientConvention`: another gradient convention, for any LightningModule."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.precision import HalfPrecision

from cvtrain.gradients.convention import Convention
from cvtrain.gradients.stacked_number import require
from cvtrain.training.update import evaluates_often


class GradientConvention(Callback):
    """Gives the optimizer scale · g, or scale · g*, for complex parameters with gradient g.

    PyTorch stores g = ∂L/∂Re w + i ∂L/∂Im w = 2 ∂L/∂w* in ``w.grad``; the default scale ½ gives
    ∂L/∂w*. Gradients of real parameters are unchanged, because all conventions agree on them. A
    training is bit-identical to a run of `cvtrain` with the same ``convention.scale`` and
    ``convention.conjugate``.

    The gradient is transformed once per step of the optimizer (with L-BFGS once per evaluation of
    the loss): after backward, when accumulated batches are added up, and before the Trainer clips
    (``gradient_clip_val``, `configure_gradient_clipping`) and the module's own
    `on_before_optimizer_step`. Callbacks later in the list see the transformed gradient.

    In manual optimization, which Lightning requires for several optimizers, only `training_step`
    knows when to clip. The callback is rejected there; call `transform` instead, which works in any
    training loop::

        self.manual_backward(loss)
        self.convention.transform(optimizer)  # self.convention = GradientConvention(0.5)
        self.clip_gradients(optimizer, 1.0)
        optimizer.step()

    Args:
        scale: factor relative to g; finite and not negative.
        conjugate: whether g is conjugated.

    Raises:
        ValueError: the scale is out of range; or, at the start of a training, optimization is
            manual or the precision of the Trainer does not keep complex gradients.
    """

    def __init__(self, scale: float = 0.5, conjugate: bool = False) -> None:
        require("scale", scale)
        self.convention = Convention(scale, conjugate)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Raise ValueError if the convention cannot be applied to this training."""
        if stage != "fit":
            return
        if not pl_module.automatic_optimization:
            raise ValueError(
                "GradientConvention: training_step clips and steps by itself in manual"
                " optimization; leave the callback out, and call its transform(optimizer) there,"
                " between manual_backward and clip_gradients"
            )
        if not any(p.is_complex() for p in pl_module.parameters()):
            return
        if isinstance(trainer.precision_plugin, HalfPrecision):
            raise ValueError(
                f"GradientConvention: precision={trainer.precision} would cast complex weights to"
                " real; use 32-true"
            )
        if getattr(trainer.precision_plugin, "scaler", None) is not None:
            raise ValueError(
                f"GradientConvention: precision={trainer.precision} scales gradients, and torch's"
                " GradScaler does not take complex ones; use 32-true or bf16-mixed"
            )

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Any
    ) -> None:
        """Transform the gradients that the optimizer is about to use."""
        if trainer.accumulate_grad_batches > 1 and evaluates_often(optimizer):
            # Its later evaluations would add to a gradient that the first one transformed.
            raise ValueError(
                f"GradientConvention: accumulate_grad_batches={trainer.accumulate_grad_batches}"
                f" should be 1, as {type(optimizer).__name__} evaluates the last batch alone again"
            )
        self.transform(optimizer)

    @torch.no_grad()
    def transform(self, optimizer: Any) -> None:
        """Replace the gradients of an optimizer's complex parameters, in place.

        Call it once before each `step`, and set gradients to zero or None afterwards: backward
        would add to the transformed gradient.

        Args:
            optimizer: an optimizer of torch or Lightning; parameters without a gradient are
                skipped.
        """
        for group in optimizer.param_groups:
            for p in group["params"]:
                if p.grad is not None and p.grad.is_complex():
                    # With a leading axis, which the gradient of a single number lacks.
                    p.grad.copy_(self.convention.apply(p.grad.unsqueeze(0)).squeeze(0))
