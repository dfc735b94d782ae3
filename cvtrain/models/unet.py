"""A U-Net: an output for every pixel of an image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from cvtrain.models.activation import activation as activation_named
from cvtrain.models.convolution import (
    as_images,
    average_pooling,
    convolution,
    image_channels,
    upsampling,
)
from cvtrain.models.initialisation import Initialisation
from cvtrain.models.normalisation import Normalisation, normalisation_layers
from cvtrain.models.parameters import cast_parameters


class UnetLayers(nn.Module):
    """The contracting path, the expanding path and the head of a `Unet`, complex or real.

    With B_d two convolutions, each with normalisation and activation, at depth d of D::

        c_0 = B_0(x),  c_d = B_d(pool(c_{d−1})),  e_D = c_D,
        e_d = B'_d([c_d, up(e_{d+1})]),  y = head(e_0)

    Args:
        in_channels, out_channels: numbers of channels of x and y.
        channels: numbers of channels of c_0, …, c_D.
        activation, initialisation, normalisation: as for `Unet`.
        dtype: complex, or real for real layers.

    Raises:
        ValueError: there are no channels, or a name is unknown.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        channels: Sequence[int],
        activation: str,
        initialisation: Initialisation,
        normalisation: Normalisation,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        if not channels:
            raise ValueError("channels=[]: should be at least one")

        def block(inputs: int, outputs: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            for first in (inputs, outputs):
                layers.append(
                    convolution(first, outputs, initialisation=initialisation, dtype=dtype)
                )
                layers += normalisation_layers(normalisation, outputs, dtype, dimensions=2)
                layers.append(activation_named(activation, dtype))
            return nn.Sequential(*layers)

        self.contracting = nn.ModuleList(
            block(inputs, outputs) for inputs, outputs in pairwise((in_channels, *channels))
        )
        self.expanding = nn.ModuleList(
            block(outputs + deeper, outputs) for outputs, deeper in pairwise(channels)
        )
        self.pooling = average_pooling(dtype)
        self.upsampling = upsampling(dtype)
        self.head = convolution(
            channels[0], out_channels, kernel_size=1, initialisation=initialisation, dtype=dtype
        )

    def forward(self, x: Tensor) -> Tensor:
        """y [N, out, H, W] of x [N, in, H, W]; H and W are multiples of 2^D."""
        contracted: list[Tensor] = []
        for depth, block in enumerate(self.contracting):
            x = block(x if depth == 0 else self.pooling(x))
            contracted.append(x)
        x = contracted.pop()
        for block in reversed(self.expanding):
            x = block(torch.cat((contracted.pop(), self.upsampling(x)), dim=1))
        y: Tensor = self.head(x)
        return y


class Unet(nn.Module):
    """Convolutions at full, half, quarter, … size and back, where the features of each size are
    passed across; all complex.

    Ronneberger, Fischer, Brox 2015, U-Net: convolutional networks for biomedical image
    segmentation, figure 1; with padded convolutions, average pooling and upsampling by repetition.

    Args:
        input_shape: shape of an image, [H, W] or [C, H, W].
        out_features: number of outputs of each pixel, complex.
        channels: numbers of channels at full size, at half size, ….
        activation: a name in `cvtrain.models.activation`.
        initialisation: initialisation of kernels; biases are initially zero.
        normalisation: normalisation between a convolution and its activation.
        residual: whether the image is added to the output, so that the network learns a correction.
        dtype: complex64 or complex128.

    Raises:
        ValueError: height or width is not divisible as often as needed, `residual` is set and the
            number of outputs differs from the image's channels, there are no channels, `dtype` is
            not complex, or a name is unknown.
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
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        in_channels = image_channels(tuple(input_shape))
        factor = 2 ** (len(channels) - 1) if channels else 1
        height, width = input_shape[-2:]
        if height % factor or width % factor:
            raise ValueError(
                f"channels={list(channels)}: should be fewer; images of {height}×{width}"
                f" cannot be halved {len(channels) - 1} times without a remainder"
            )
        if residual and in_channels != out_features:
            raise ValueError(
                f"residual=True: should be false where {out_features} outputs would be added to"
                f" images of {in_channels} channels"
            )
        self.residual = residual
        self.layers = UnetLayers(
            in_channels,
            out_features,
            channels=channels,
            activation=activation,
            initialisation=initialisation,
            normalisation=normalisation,
            dtype=dtype,
        )
        cast_parameters(self, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """y [N, out, H, W], complex, of images x [N, H, W] or [N, C, H, W]."""
        x = as_images(x)
        y: Tensor = self.layers(x)
        return y + x if self.residual else y
