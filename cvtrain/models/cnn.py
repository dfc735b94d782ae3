"""A convolutional classifier of images, as in torchcvnn's MNIST example."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from cvtrain.models.activation import activation as activation_named
from cvtrain.models.convolution import as_images, average_pooling, convolution, image_channels
from cvtrain.models.initialisation import Initialisation
from cvtrain.models.linear import linear_layer
from cvtrain.models.normalisation import Normalisation, normalisation_layers
from cvtrain.models.parameters import cast_parameters


class Cnn(nn.Module):
    """Blocks of two convolutions and an average pooling, then two linear layers; all complex.

    With the defaults it is the network of torchcvnn's MNIST example without the moduli in its last
    layer: here the objective takes moduli (`cvtrain.gradients.losses.cross_entropy`).

    Args:
        input_shape: shape of an image, [H, W] or [C, H, W].
        out_features: number of outputs, complex.
        channels: number of channels of each block; every block halves height and width, rounding
            down.
        hidden: width of the linear layer before the last.
        activation: a name in `cvtrain.models.activation`.
        initialisation: initialisation of kernels and weights; biases are initially zero.
        normalisation: normalisation between a convolution and its activation.
        dtype: complex64 or complex128.

    Raises:
        ValueError: the images are too small for this number of blocks, `dtype` is not complex, or a
            name is unknown.
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
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        shape = tuple(input_shape)
        depths = (image_channels(shape), *channels)
        height, width = (size // 2 ** len(channels) for size in shape[-2:])
        if height * width == 0:
            raise ValueError(
                f"channels={list(channels)}: should be fewer; images of"
                f" {shape[-2]}×{shape[-1]} cannot be halved {len(channels)} times"
            )
        blocks: list[nn.Module] = []
        for inputs, outputs in pairwise(depths):
            for first in (inputs, outputs):
                blocks.append(
                    convolution(first, outputs, initialisation=initialisation, dtype=dtype)
                )
                blocks += normalisation_layers(normalisation, outputs, dtype, dimensions=2)
                blocks.append(activation_named(activation, dtype))
            blocks.append(average_pooling(dtype))
        head: list[nn.Module] = [
            linear_layer(
                depths[-1] * height * width, hidden, initialisation=initialisation, dtype=dtype
            ),
            activation_named(activation, dtype),
            linear_layer(hidden, out_features, initialisation=initialisation, dtype=dtype),
        ]
        self.blocks, self.head = nn.Sequential(*blocks), nn.Sequential(*head)
        cast_parameters(self, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """y [N, out], complex, of images x [N, H, W] or [N, C, H, W]."""
        y: Tensor = self.head(self.blocks(as_images(x)).flatten(1))
        return y
