"""The real twin of the residual classifier."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

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
from cvtrain.models.resnet import ResNet, resnet_layers


class RealResNet(nn.Module):
    """Real residual blocks on (Re x, Im x), with as many real degrees of freedom as a `ResNet` that
    is given the same arguments; see `cvtrain.models.real_twin`.

    Args:
        input_shape: of one image, complex, [H, W] or [C, H, W].
        out_features: outputs.
        channels: of the stages of the complex network.
        activation: of the complex network; the twin has its real counterpart.
        blocks, initialisation, normalisation: as for `ResNet`.
        output: ``real`` or ``complex``, for complex targets.
        matched: whether widths are scaled; if not, they are as given.
        dtype: of the input, complex64 or complex128; the twin has the matching real precision.

    Raises:
        ValueError: as for `ResNet`, or there is no such output.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        out_features: int,
        *,
        channels: Sequence[int] = (12, 24, 48),
        blocks: int = 2,
        activation: str = "CReLU",
        initialisation: Initialisation = "he",
        normalisation: Normalisation = "batch",
        output: TwinOutput = "real",
        matched: bool = True,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.output = output
        if matched:
            channels = matched_widths(
                ResNet,
                RealResNet,
                ("channels",),
                output=output,
                input_shape=tuple(input_shape),
                out_features=out_features,
                channels=tuple(channels),
                blocks=blocks,
                activation=activation,
                normalisation=normalisation,
                dtype=dtype,
            )["channels"]
        self.layers, self.head = resnet_layers(
            2 * image_channels(tuple(input_shape)),
            real_outputs(out_features, output),
            channels=channels,
            blocks=blocks,
            activation=activation,
            initialisation=initialisation,
            normalisation=normalisation,
            dtype=dtype.to_real(),
        )
        cast_parameters(self, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """y [N, out], real or complex as `output` says, of complex images x [N, H, W] or
        [N, C, H, W]."""
        features = self.layers(stacked_parts(as_images(x))).mean(dim=(-2, -1))
        return of_kind(self.head(features), self.output)
