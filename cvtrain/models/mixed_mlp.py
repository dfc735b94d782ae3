"""A multilayer perceptron with a complex trunk and a real head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cvtrain.models.initialisation import Initialisation
from cvtrain.models.mlp import hidden_layers
from cvtrain.models.normalisation import Normalisation
from cvtrain.models.parameters import cast_parameters
from cvtrain.models.parametrisation import (
    Parametrisation,
    check_parametrisation,
    parametrised,
)


class MixedMlp(nn.Module):
    """Complex hidden layers h; real outputs y = (Re h, Im h) Wᵀ + b.

    The network is mixed: W and b of the head are real, and so are the biases of modReLU and Γ of
    batch normalisation. A convention acts only on the complex parameters, which no common learning
    rate can compensate.

    Args:
        in_features: number of entries of an input, flattened.
        out_features: number of outputs, real.
        hidden: widths of the hidden layers, at least one.
        activation: a name in `cvtrain.models.activation`.
        initialisation: initialisation of the trunk's weights; its biases are initially zero. The
            head has torch's initialisation.
        normalisation: normalisation between a hidden layer and its activation.
        parametrisation: how weights and updates follow the width, see
            `cvtrain.models.parametrisation.width_factors`.
        reference_width: width of the hidden layers at which all parametrisations are the same
            network.
        dtype: complex64 or complex128; the head has the matching real precision.

    Raises:
        ValueError: `hidden` is empty, `dtype` is not complex, a name is unknown, or maximal update
            is combined with batch normalisation or with another initialisation than `he`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        hidden: Sequence[int] = (64, 64),
        activation: str = "modReLU",
        initialisation: Initialisation = "glorot",
        normalisation: Normalisation = "none",
        parametrisation: Parametrisation = "standard",
        reference_width: int = 64,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        if not hidden:
            raise ValueError("hidden=[]: should have at least one width")
        check_parametrisation(parametrisation, reference_width, normalisation, initialisation)
        widths = (in_features, *hidden)
        layers = hidden_layers(
            widths,
            activation,
            initialisation,
            normalisation,
            dtype,
            parametrisation,
            reference_width,
        )
        self.trunk = nn.Sequential(*layers)
        head = nn.Linear(2 * hidden[-1], out_features, dtype=dtype.to_real())
        self.head = parametrised(head, parametrisation, hidden[-1] / reference_width, None)
        cast_parameters(self, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """y [N, out], real, of x [N, ...], flattened."""
        h: Tensor = self.trunk(x.flatten(1))
        y: Tensor = self.head(torch.cat((h.real, h.imag), dim=1))
        return y
