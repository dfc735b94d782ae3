"""The real twin of the convolutional classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cvtrain.models.cnn import Cnn, cnn_layers
from cvtrain.models.convolution import as_images, image_channels
from cvtrain.models.initialisation import Initialisation
from cvtrain.models.normalisation import Normalisation
from cvtrain.models.parameters import cast_parameters
from cvtrain.models.real_twin import (
    TwinOutput,
    matched_widths,
    of_kind,
    real_outputs,
    stacked_parts,
)


class RealCnn(nn.Module):
    """Real convolutions on (Re x, Im x), with as many real degrees of freedom as a `Cnn` that is
    given the same arguments; see `cvtrain.models.real_twin`.

    Args:
        input_shape: of one image, complex, [H, W] or [C, H, W].
        out_features: outputs.
        channels, hidden: widths of the complex network.
        activation: of the complex network; the twin has its real counterpart.
        initialisation, normalisation: as for `Cnn`.
        output: ``real`` or ``complex``, for complex targets.
        matched: whether widths are scaled; if not, they are as given.
        dtype: of the input, complex64 or complex128; the twin has the matching real precision.

    Raises:
        ValueError: as for `Cnn`, or there is no such output.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        out_features: int,
        *,
        channels: Sequence[int] = (16, 32, 64),
        hidden: int = 124,
        activation: str = "cardioid",
        initialisation: Initialisation = "glorot",
        normalisation: Normalisation = "none",
        output: TwinOutput = "real",
        matched: bool = True,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.output = output
        widths: dict[str, Any] = {"channels": tuple(channels), "hidden": hidden}
        if matched:
            widths = matched_widths(
                Cnn,
                RealCnn,
                ("channels", "hidden"),
                output=output,
                input_shape=tuple(input_shape),
                out_features=out_features,
                **widths,
                activation=activation,
                normalisation=normalisation,
                dtype=dtype,
            )
        self.blocks, self.head = cnn_layers(
            (2 * image_channels(tuple(input_shape)), *input_shape[-2:]),
            real_outputs(out_features, output),
            **widths,
            activation=activation,
            initialisation=initialisation,
            normalisation=normalisation,
            dtype=dtype.to_real(),
        )
        cast_parameters(self, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """y [N, out], real or complex as `output` says, of complex images x [N, H, W] or
        [N, C, H, W]."""
        features = self.blocks(stacked_parts(as_images(x)))
        return of_kind(self.head(features.flatten(1)), self.output)
