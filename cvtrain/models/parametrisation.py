"""Parametrisations: how initial weights and the learning rate of each layer scale with the width
of a network.

In the standard parametrisation the best learning rate of SGD falls as a network gets wider. Under
maximal update (µP) the features of every layer change equally per step at any width, so the best
learning rate stays the same. The learning rate that µP requires of each layer is expressed here by
constant factors in the forward pass, so that one learning rate suits all layers and optimizers need
no changes: a weight α·w at the rate η moves like a weight at the rate α²η with SGD, and at αη with
Adam. For a complex weight E|w|² replaces the variance, and w.grad,
including a convention's constant factor, replaces the gradient.

Yang and Hu 2021, Feature learning in infinite-width neural networks, arXiv:2011.14522; Yang et al.
2022, Tensor programs V, arXiv:2203.03466, tables 3 and 8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

Parametrisation: TypeAlias = Literal["standard", "mup_sgd", "mup_adam"]
PARAMETRISATIONS: tuple[Parametrisation, ...] = ("standard", "mup_sgd", "mup_adam")


@dataclass(frozen=True)
class WidthFactors:
    """Constant factors of one linear layer; all are 1 at the reference width.

    Attributes:
        weight: α, factor of the weight in the forward pass.
        bias: β, factor of the bias in the forward pass.
        initial: factor of the initial weight.
    """

    weight: float = 1.0
    bias: float = 1.0
    initial: float = 1.0


def width_factors(
    parametrisation: Parametrisation, fan_in: float | None, fan_out: float | None
) -> WidthFactors:
    """Factors of a linear layer, relative to the same layer in a network of the reference width.

    With m = `fan_in` and n = `fan_out` (1 for None), the learning rate of the weight is multiplied
    by n/m for SGD and 1/m for Adam, and that of the bias by n for SGD and 1 for Adam. The standard
    deviation of an output layer's weights falls like 1/m instead of m^-½.

    Args:
        parametrisation: ``standard``, ``mup_sgd`` for SGD with or without momentum, ``mup_adam``
            for Adam and other rules whose update does not depend on the scale of the gradient.
        fan_in, fan_out: number of inputs and outputs of the layer, divided by that at the base
            width; None for the inputs and outputs of the network, whose number is fixed.
    """
    if parametrisation == "standard":
        return WidthFactors()
    m, n = fan_in or 1.0, fan_out or 1.0
    weight, bias = (math.sqrt(n / m), math.sqrt(n)) if parametrisation == "mup_sgd" else (1 / m, 1)
    deviation = 1 / math.sqrt(m) if fan_out is None else 1.0
    return WidthFactors(weight, bias, deviation / weight)


class ScaledLinear(nn.Module):
    """y = α·x wᵀ + β·b around a linear layer with weight w and bias b, complex or real.

    Args:
        layer: linear layer, whose weight is multiplied by the initial factor in place.
        factors: α, β and the initial factor.
    """

    def __init__(self, layer: nn.Module, factors: WidthFactors) -> None:
        super().__init__()
        self.layer = layer
        self.of_input = factors.weight / factors.bias
        self.of_output = factors.bias
        weight = layer.weight
        assert isinstance(weight, Tensor)
        with torch.no_grad():
            weight.mul_(factors.initial)

    def forward(self, x: Tensor) -> Tensor:
        """y [N, out] of x [N, in]."""
        y: Tensor = self.layer(x if self.of_input == 1 else x * self.of_input)
        return y if self.of_output == 1 else y * self.of_output


def parametrised(
    layer: nn.Module,
    parametrisation: Parametrisation,
    fan_in: float | None,
    fan_out: float | None,
) -> nn.Module:
    """Give a linear layer the factors of its width; returns the layer itself if all of them are 1.

    Args:
        layer: layer with a weight [out, in] and a bias [out], complex or real.
        parametrisation, fan_in, fan_out: as for `width_factors`.
    """
    factors = width_factors(parametrisation, fan_in, fan_out)
    return layer if factors == WidthFactors() else ScaledLinear(layer, factors)


def check_parametrisation(
    parametrisation: Parametrisation, reference_width: int, normalisation: str, initialisation: str
) -> None:
    """Check that a multilayer perceptron supports a parametrisation.

    Raises:
        ValueError: the parametrisation does not exist, the reference width is below 1, or maximal
            update is combined with batch normalisation, whose Γ it does not scale, or with an
            initialisation whose first layer depends on the width.
    """
    if parametrisation not in PARAMETRISATIONS:
        allowed = ", ".join(PARAMETRISATIONS)
        raise ValueError(f"parametrisation={parametrisation}: should be one of {allowed}")
    if reference_width < 1:
        raise ValueError(f"reference_width={reference_width}: should be at least 1")
    if parametrisation == "standard":
        return
    if normalisation != "none":
        raise ValueError(
            f"normalisation={normalisation}: should be none for parametrisation={parametrisation}"
        )
    if initialisation != "he":
        raise ValueError(
            f"initialisation={initialisation}: should be he for parametrisation={parametrisation},"
            " whose first layer has the same weights at every width"
        )
