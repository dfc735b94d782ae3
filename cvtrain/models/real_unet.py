"""The real twin of the U-Net."""

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
from cvtrain.models.unet import Unet, UnetLayers, check_unet


class RealUnet(nn.Module):
    """A real U-Net on (Re x, Im x), with as many real degrees of freedom as a `Unet` that is given
    the same arguments; see `cvtrain.models.real_twin`.

    Args:
        input_shape: of one image, complex, [H, W] or [C, H, W].
        out_features: outputs of each pixel.
        channels: of the complex network.
        activation: of the complex network; the twin has its real counterpart.
        initialisation, normalisation: as for `Unet`.
        residual: whether the complex image is added to the output, which is then complex.
        output: ``real`` or ``complex``, for complex targets.
        matched: whether widths are scaled; if not, they are as given.
        dtype: of the input, complex64 or complex128; the twin has the matching real precision.

    Raises:
        ValueError: as for `Unet`, there is no such output, or `residual` wants a complex one.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        out_features: int,
        *,
        channels: Sequence[int] = (16, 32, 64),
        activation: str = "CReLU",
        initialisation: Initialisation = "he",
        normalisation: Normalisation = "batch",
        residual: bool = False,
        output: TwinOutput = "real",
        matched: bool = True,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        check_unet(input_shape, out_features, channels, residual)
        if residual and output == "real":
            raise ValueError("residual=True: images are complex, so it should be output=complex")
        self.output = output
        self.residual = residual
        if matched:
            channels = matched_widths(
                Unet,
                RealUnet,
                ("channels",),
                output=output,
                input_shape=tuple(input_shape),
                out_features=out_features,
                channels=tuple(channels),
                activation=activation,
                normalisation=normalisation,
                residual=residual,
                dtype=dtype,
            )["channels"]
        self.layers = UnetLayers(
            2 * image_channels(tuple(input_shape)),
            real_outputs(out_features, output),
            channels=channels,
            activation=activation,
            initialisation=initialisation,
            normalisation=normalisation,
            dtype=dtype.to_real(),
        )
        cast_parameters(self, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """y [N, out, H, W], real or complex as `output` says, of complex images x [N, H, W] or
        [N, C, H, W]."""
        x = as_images(x)
        y = of_kind(self.layers(stacked_parts(x)), self.output)
        return y + x if self.residual else y
