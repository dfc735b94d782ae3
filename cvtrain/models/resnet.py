"""A residual convolutional classifier of images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from cvtrain.models.activation import activation as activation_named
from cvtrain.models.convolution import as_images, convolution, image_channels
from cvtrain.models.initialisation import Initialisation
from cvtrain.models.linear import linear_layer
from cvtrain.models.normalisation import Normalisation, normalisation_layers
from cvtrain.models.parameters import cast_parameters, check_depth


class ResidualBlock(nn.Module):
    """y = φ(f(x) + s(x)), where f is two convolutions with φ between them and s is the identity, or
    a 1×1 convolution if the shape changes.

    He et al. 2016, Deep residual learning for image recognition, figure 2; complex as in Trabelsi
    et al. 2018, Deep complex networks.

    Args:
        in_channels, out_channels: numbers of channels of x and y.
        stride: factor by which y is smaller than x.
        activation, initialisation, normalisation: as for `ResNet`.
        dtype: complex, or real for real layers.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int,
        activation: str,
        initialisation: Initialisation,
        normalisation: Normalisation,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            convolution(
                in_channels, out_channels, stride=stride, initialisation=initialisation, dtype=dtype
            ),
            *normalisation_layers(normalisation, out_channels, dtype, dimensions=2),
            activation_named(activation, dtype),
            convolution(out_channels, out_channels, initialisation=initialisation, dtype=dtype),
            *normalisation_layers(normalisation, out_channels, dtype, dimensions=2),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = convolution(
                in_channels,
                out_channels,
                kernel_size=1,
                stride=stride,
                bias=False,
                initialisation=initialisation,
                dtype=dtype,
            )
        self.activation = activation_named(activation, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """y [N, out, H/stride, W/stride] of x [N, in, H, W]."""
        y: Tensor = self.activation(self.residual(x) + self.shortcut(x))
        return y


class ResNet(nn.Module):
    """A convolution, stages of residual blocks, the mean over the image and a linear layer; all
    complex.

    Args:
        input_shape: shape of an image, [H, W] or [C, H, W].
        out_features: number of outputs, complex.
        channels: number of channels of each stage; every stage but the first halves height and
            width, rounding up.
        blocks: number of blocks per stage.
        activation: a name in `cvtrain.models.activation`.
        initialisation: initialisation of kernels and weights; biases are initially zero.
        normalisation: normalisation after each convolution of a block.
        dtype: complex64 or complex128.

    Raises:
        ValueError: there are no stages or no blocks, `dtype` is not complex, or a name is unknown.
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
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        in_channels = image_channels(tuple(input_shape))
        if not channels:
            raise ValueError(f"channels={list(channels)}: should be at least one")
        check_depth("blocks", blocks)
        layers: list[nn.Module] = [
            convolution(in_channels, channels[0], initialisation=initialisation, dtype=dtype),
            *normalisation_layers(normalisation, channels[0], dtype, dimensions=2),
            activation_named(activation, dtype),
        ]
        for stage, (inputs, outputs) in enumerate(pairwise((channels[0], *channels))):
            for block in range(blocks):
                layers.append(
                    ResidualBlock(
                        inputs if block == 0 else outputs,
                        outputs,
                        stride=2 if stage > 0 and block == 0 else 1,
                        activation=activation,
                        initialisation=initialisation,
                        normalisation=normalisation,
                        dtype=dtype,
                    )
                )
        self.layers = nn.Sequential(*layers)
        self.head = linear_layer(
            channels[-1], out_features, initialisation=initialisation, dtype=dtype
        )
        cast_parameters(self, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """y [N, out], complex, of images x [N, H, W] or [N, C, H, W]."""
        features = self.layers(as_images(x)).mean(dim=(-2, -1))
        y: Tensor = self.head(features)
        return y
