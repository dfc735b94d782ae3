"""The real twin of the multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cvtrain.models.initialisation import Initialisation
from cvtrain.models.linear import linear_layer
from cvtrain.models.mlp import Mlp, hidden_layers
from cvtrain.models.normalisation import Normalisation
from cvtrain.models.parameters import cast_parameters
from cvtrain.models.real_twin import (
    TwinOutput,
    matched_widths,
    of_kind,
    real_outputs,
    stacked_parts,
)


class RealMlp(nn.Module):
    """Real linear layers on (Re x, Im x), with as many real degrees of freedom as an `Mlp` that is
    given the same arguments; see `cvtrain.models.real_twin`.

    Args:
        in_features: entries of one input, complex, flattened.
        out_features: outputs.
        hidden: widths of the complex network's hidden layers.
        activation: of the complex network; the twin has its real counterpart.
        initialisation, normalisation: as for `Mlp`.
        output: ``real`` or ``complex``, for complex targets.
        matched: whether widths are scaled; if not, they are as given.
        dtype: of the input, complex64 or complex128; the twin has the matching real precision.

    Raises:
        ValueError: `dtype` is not complex, or a name is unknown.
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
        output: TwinOutput = "real",
        matched: bool = True,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.output = output
        if matched:
            hidden = matched_widths(
                Mlp,
                RealMlp,
                ("hidden",),
                output=output,
                in_features=in_features,
                out_features=out_features,
                hidden=tuple(hidden),
                activation=activation,
                normalisation=normalisation,
                dtype=dtype,
            )["hidden"]
        widths = (2 * in_features, *hidden)
        real = dtype.to_real()
        trunk = hidden_layers(widths, activation, initialisation, normalisation, real)
        outputs = real_outputs(out_features, output)
        head = linear_layer(widths[-1], outputs, initialisation=initialisation, dtype=real)
        self.layers = nn.Sequential(*trunk, head)
        cast_parameters(self, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """y [N, out], real or complex as `output` says, of x [N, ...], complex, flattened."""
        return of_kind(self.layers(stacked_parts(x.flatten(1))), self.output)
