"""Complex and real convolutions, pooling and upsampling, and images as their input."""

from __future__ import annotations

import torch
import torchcvnn.nn
from torch import Tensor, nn

from cvtrain.models.initialisation import Initialisation, initialise_


def convolution(
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int = 3,
    stride: int = 1,
    bias: bool = True,
    initialisation: Initialisation,
    dtype: torch.dtype,
) -> nn.Conv2d:
    """Make a convolution whose output has the size of its input divided by `stride`.

    Args:
        in_channels, out_channels: numbers of channels.
        kernel_size: odd.
        stride: factor by which the output is smaller.
        bias: whether it has a bias, initially zero.
        initialisation: initialisation of the kernel [out, in, size, size]; its fan-in is in ·
            size².
        dtype: dtype of the kernel, complex or real.

    Raises:
        ValueError: the kernel's size is even, or the initialisation is unknown.
    """
    if kernel_size % 2 == 0:
        raise ValueError(f"kernel_size={kernel_size}: should be odd")
    layer = nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        bias=bias,
        dtype=dtype,
    )
    initialise_(layer.weight, initialisation)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def average_pooling(dtype: torch.dtype) -> nn.Module:
    """Make a layer that averages every 2×2 entries; a last odd row or column is left out."""
    if dtype.is_complex:
        pooling: nn.Module = torchcvnn.nn.AvgPool2d(kernel_size=2, stride=2, padding=0)
        return pooling
    return nn.AvgPool2d(kernel_size=2)


def upsampling(dtype: torch.dtype) -> nn.Module:
    """Make a layer that repeats every entry 2×2 times."""
    if dtype.is_complex:
        layer: nn.Module = torchcvnn.nn.Upsample(scale_factor=2)
        return layer
    return nn.Upsample(scale_factor=2)


def image_channels(input_shape: tuple[int, ...]) -> int:
    """Number of channels of images [H, W] (one channel) or [C, H, W].

    Raises:
        ValueError: the inputs are not images.
    """
    if len(input_shape) not in (2, 3):
        raise ValueError(
            f"input_shape={list(input_shape)}: should be that of images, [H, W] or [C, H, W]"
        )
    return 1 if len(input_shape) == 2 else input_shape[0]


def as_images(x: Tensor) -> Tensor:
    """[N, C, H, W] of x [N, H, W] or [N, C, H, W]."""
    return x.unsqueeze(1) if x.dim() == 3 else x
