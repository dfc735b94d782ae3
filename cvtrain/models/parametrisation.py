"""Parametrisations: how weights at the beginning, and what a learning rate does to them, follow
the width of a network.

In the standard parametrisation the best learning rate of SGD falls as a network gets wider. Under
maximal update (µP) every layer's features change by as much per step at any width, so that the best
learning rate stays. What µP asks of the learning rate of each layer is written here as constant
factors in the forward pass, so that one learning rate serves all layers, and any optimizer of that
kind works as it is: a weight α·w with SGD's rate η moves like a weight with the rate α²η, with
Adam's like one with αη (Yang et al. 2022, lemma J.1). For a complex weight E|w|² takes the place
of the variance, and w.grad, a convention's constant factor included, that of the gradient.

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
    """Constant factors of one linear layer; all are 1 at the base width.

    Attributes:
        weight: α, of the weight in the forward pass.
        bias: β, of the bias in the forward pass.
        initial: of the weight as its initialisation draws it.
    """

    weight: float = 1.0
    bias: float = 1.0
    initial: float = 1.0


def width_factors(
    parametrisation: Parametrisation, fan_in: float | None, fan_out: float | None
) -> WidthFactors:
    """Factors of a linear layer, relative to the same layer in a network of the base width.

    With m = `fan_in` and n = `fan_out`, and 1 for None, the weight's learning rate is multiplied by
    n/m and the bias's by n for SGD, by 1/m and 1 for Adam; the standard deviation of an output
    layer's weights, which falls like m^-½ in the standard parametrisation, falls like 1/m.

    Args:
        parametrisation: ``standard``, ``mup_sgd`` for SGD with or without momentum, ``mup_adam``
            for Adam and other rules whose update does not depend on the scale of the gradient.
        fan_in, fan_out: of the layer, over those at the base width; None for the input's and the
            output's, which do not grow with the width.
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
        layer: its weight is multiplied by the initial factor, in place.
        factors: α and β, and the initial factor.
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
    """Give a linear layer the factors of its width; the layer itself where all of them are 1.

    Args:
        layer: with a weight [out, in] and a bias [out], complex or real.
        parametrisation, fan_in, fan_out: as for `width_factors`.
    """
    factors = width_factors(parametrisation, fan_in, fan_out)
    return layer if factors == WidthFactors() else ScaledLinear(layer, factors)


def check_parametrisation(
    parametrisation: Parametrisation, base_width: int, normalisation: str, initialisation: str
) -> None:
    """Check that a parametrisation can hold for a multilayer perceptron.

    Raises:
        ValueError: there is no such parametrisation; maximal update with batch normalisation, whose
            Γ it does not scale, or with an initialisation whose first weights depend on the width;
            or a width below 1.
    """
    if parametrisation not in PARAMETRISATIONS:
        allowed = ", ".join(PARAMETRISATIONS)
        raise ValueError(f"parametrisation={parametrisation}: should be one of {allowed}")
    if base_width < 1:
        raise ValueError(f"base_width={base_width}: should be at least 1")
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
