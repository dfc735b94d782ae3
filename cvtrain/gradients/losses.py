"""Losses of complex outputs, and the objective = scale × loss on which ``backward`` is called.

A loss is real and unscaled, so that runs under different objectives can be compared. Note the
constants: all losses are means over samples and outputs, and only `complex_huber` has a ½.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchcvnn.nn import ComplexMSELoss

Reduction: TypeAlias = Literal["mean", "none"]
"""As in torch: the mean, or the terms of which it is taken."""

IGNORED = -100
"""Label of positions without a label; losses and metrics ignore them (torch's `ignore_index`)."""

LossName: TypeAlias = Literal["complex_mse", "complex_huber", "cross_entropy"]

TaskName: TypeAlias = Literal["classification", "regression"]
"""The task of a data set, which determines the losses and metrics that fit."""


def complex_mse(output: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
    """mean |ŷ − y|², without ½: ∂L/∂Re ŷ + i ∂L/∂Im ŷ = 2(ŷ − y)/n for n entries.

    torchcvnn's ComplexMSELoss. ``mse_loss`` of view_as_real is half of it, since it counts Re and
    Im as two entries.

    Raises:
        ValueError: output and target differ in shape, or one is real and the other complex.
    """
    _check_alike(output, target)
    loss: Tensor = ComplexMSELoss(reduction=reduction)(output, target)
    return loss


def complex_huber(
    output: Tensor, target: Tensor, delta: float, reduction: Reduction = "mean"
) -> Tensor:
    """mean of ½|e|² if |e| ≤ δ, else of δ(|e| − δ/2), with e = ŷ − y.

    The ½ cancels the 2 of the gradient: inside, ∂L/∂Re ŷ + i ∂L/∂Im ŷ = e/n, half of that of
    `complex_mse`; outside it is δ e/(n|e|).

    Huber 1964, Robust estimation of a location parameter, on the modulus.

    Raises:
        ValueError: output and target differ in shape, or one is real and the other complex.
    """
    _check_alike(output, target)
    modulus = (output - target).abs()
    inside, outside = 0.5 * modulus.square(), delta * (modulus - 0.5 * delta)
    terms = torch.where(modulus <= delta, inside, outside)
    return terms.mean() if reduction == "mean" else terms


def cross_entropy(output: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
    """mean of −log softmax(|z|)[class]: cross-entropy of moduli, or of z itself if it is real.

    Args:
        output: z [N, classes]; the gradient at z = 0, where |z| is not differentiable, is 0.
        target: classes, [N] int64.
        reduction: ``mean`` over labelled positions, or ``none``: each term, 0 without a label.
    """
    z = output.abs() if output.is_complex() else output
    return F.cross_entropy(z, target, reduction=reduction, ignore_index=IGNORED)


LOSSES: dict[LossName, Callable[..., Tensor]] = {
    "complex_mse": complex_mse,
    "complex_huber": complex_huber,
    "cross_entropy": cross_entropy,
}
"""Losses of an output and a target by name; complex_huber also takes `delta`."""

TASK_OF_LOSS: dict[LossName, TaskName] = {
    "complex_mse": "regression",
    "complex_huber": "regression",
    "cross_entropy": "classification",
}
"""The task that each loss fits."""


@dataclass(frozen=True)
class Objective:
    """objective = scale × loss.

    The scale acts on the gradient of every parameter, real or complex; a convention (see
    `cvtrain.gradients.convention`) only on that of complex parameters.

    Attributes:
        loss: a name in `LOSSES`; or a module of outputs and targets that returns a real number (the
            mean over samples) or one per sample.
        scale: a number, or a [K] tensor.
        delta: δ of complex_huber; None for the other losses.

    Raises:
        ValueError: the loss is unknown, or δ is missing, superfluous, or not positive and finite.
    """

    loss: LossName | nn.Module
    scale: float | Tensor = 1.0
    delta: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.loss, nn.Module):
            return
        if self.loss not in LOSSES:
            raise ValueError(f"loss={self.loss}: should be one of {', '.join(LOSSES)}")
        if self.loss != "complex_huber" and self.delta is not None:
            raise ValueError(f"delta={self.delta}: should be null, as loss={self.loss} has none")
        if self.loss == "complex_huber" and not (
            self.delta is not None and 0 < self.delta < math.inf
        ):
            raise ValueError(f"delta={self.delta}: should be finite and above 0 in complex_huber")

    def loss_value(self, output: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        """The unscaled loss, a real number: the mean over samples, or their `weighted_mean`.

        Args:
            output: output of the network, [N, …].
            target: targets, [N, …].
            weights: weights of the samples, [N]; None: all equal.

        Raises:
            TypeError: the loss is complex, or not a tensor.
            ValueError: output and target do not fit the loss; or the loss is neither one number nor
                one per sample, or is one number although samples have weights.
        """
        if isinstance(self.loss, nn.Module):
            value = self.loss(output, target)
            mean = one_number(value, len(target))
            if weights is None:
                return mean
            if not value.dim():
                raise ValueError(
                    "it returns one number for all samples, should be one for each sample, as the"
                    " data have weights"
                )
            return weighted_mean(value, weights)
        options: dict[str, Any] = {} if self.delta is None else {"delta": self.delta}
        if weights is not None:
            options["reduction"] = "none"
        loss = LOSSES[self.loss](output, target, **options)
        if loss.is_complex():
            raise TypeError(f"loss={self.loss}: should be real, is {loss.dtype}")
        if weights is None:
            return loss
        labels = TASK_OF_LOSS[self.loss] == "classification"
        return weighted_mean(loss, weights, target != IGNORED if labels else None)

    def value(self, output: Tensor, target: Tensor) -> Tensor:
        """scale × loss, a real number, or [K] for a scale of [K]."""
        return self.scale * self.loss_value(output, target)


def weighted_mean(terms: Tensor, weights: Tensor, counted: Tensor | None = None) -> Tensor:
    """Σ wᵢ lᵢ / Σ wᵢ over samples i and the entries of each; 0 where all weights are 0.

    terms: lᵢ [N, …], real.
    weights: wᵢ [N], not negative.
    counted: mask of the terms that count, bool [N, …]; None: all.
    """
    w = weights.reshape(-1, *(1 for _ in terms.shape[1:])).expand_as(terms)
    if counted is not None:
        w = w * counted
    total = w.sum()
    return (w * terms).sum() / torch.where(total > 0, total, torch.ones_like(total))


def one_number(value: Tensor, samples: int) -> Tensor:
    """Convert the result of a user's loss or metric to one real number: itself, or the mean over
    samples.

    Args:
        value: a number [], or one per sample [N].
        samples: number of samples N.

    Raises:
        TypeError: `value` is not a tensor of real numbers.
        ValueError: `value` is neither one number nor one per sample.
    """
    if not isinstance(value, Tensor):
        raise TypeError(f"it returns a {type(value).__name__}, should be a tensor")
    if not value.is_floating_point():
        raise TypeError(f"it returns {value.dtype}, should be real numbers")
    if value.shape not in ((), (samples,)):
        raise ValueError(
            f"it returns shape {list(value.shape)} for {samples} samples, should be one number, or"
            " one for each sample"
        )
    return value.mean()


def _check_alike(output: Tensor, target: Tensor) -> None:
    if output.shape != target.shape or output.is_complex() != target.is_complex():
        raise ValueError(
            f"output is {output.dtype} of shape {list(output.shape)}, should be as the target,"
            f" {target.dtype} of shape {list(target.shape)}"
        )
