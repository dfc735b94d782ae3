"""A multilayer perceptron, complex throughout."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from cvtrain.models.activation import activation as activation_named
from cvtrain.models.initialisation import Initialisation
from cvtrain.models.linear import linear_layer
from cvtrain.models.normalisation import Normalisation, normalisation_layers
from cvtrain.models.parameters import cast_parameters
from cvtrain.models.parametrisation import (
    Parametrisation,
    check_parametrisation,
    parametrised,
)


class Mlp(nn.Module):
    """Complex linear layers with biases, with an activation between consecutive layers.

    The network is purely complex without normalisation and with an activation without parameters,
    such as cardioid.

    Args:
        in_features: number of entries of an input, flattened.
        out_features: number of outputs, complex.
        hidden: widths of the hidden layers.
        activation: a name in `cvtrain.models.activation`.
        initialisation: initialisation of the weights; biases are initially zero.
        normalisation: normalisation between a hidden layer and its activation.
        parametrisation: how weights and updates follow the width, see
            `cvtrain.models.parametrisation.width_factors`.
        reference_width: width of the hidden layers at which all parametrisations are the same
            network.
        dtype: complex64 or complex128.

    Raises:
        ValueError: `dtype` is not complex, a name is unknown, or maximal update is
            combined with batch normalisation or with another initialisation than `he`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        hidden: Sequence[int] = (64, 64),
        activation: str = "cardioid",
        initialisation: Initialisation = "glorot",
        normalisation: Normalisation = "none",
        parametrisation: Parametrisation = "standard",
        reference_width: int = 64,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        check_parametrisation(parametrisation, reference_width, normalisation, initialisation)
        widths = (in_features, *hidden)
        trunk = hidden_layers(
            widths,
            activation,
            initialisation,
            normalisation,
            dtype,
            parametrisation,
            reference_width,
        )
        head = linear_layer(widths[-1], out_features, initialisation=initialisation, dtype=dtype)
        fan_in = hidden[-1] / reference_width if hidden else None
        self.layers = nn.Sequential(*trunk, parametrised(head, parametrisation, fan_in, None))
        cast_parameters(self, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """y [N, out], complex, of x [N, ...], flattened."""
        y: Tensor = self.layers(x.flatten(1))
        return y


def hidden_layers(
    widths: Sequence[int],
    activation: str,
    initialisation: Initialisation,
    normalisation: Normalisation,
    dtype: torch.dtype,
    parametrisation: Parametrisation = "standard",
    reference_width: int = 64,
) -> list[nn.Module]:
    """The hidden layers: for each a linear layer with bias, the normalisation if any, and an
    activation.

    Args:
        widths: widths of the input and of each hidden layer.
        activation, initialisation, normalisation, parametrisation, reference_width: as for `Mlp`.
        dtype: complex, or real for real layers; other real parameters are not cast.
    """
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        layer = linear_layer(inputs, outputs, initialisation=initialisation, dtype=dtype)
        fan_in = inputs / reference_width if number else None
        layers.append(parametrised(layer, parametrisation, fan_in, outputs / reference_width))
        layers += normalisation_layers(normalisation, outputs, dtype)
        layers.append(activation_named(activation, dtype))
    return layers
