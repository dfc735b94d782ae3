"""Normalisation of hidden features, by name."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
import torchcvnn.nn
from torch import nn

Normalisation: TypeAlias = Literal["none", "batch"]


def normalisation_layers(
    normalisation: Normalisation, features: int, dtype: torch.dtype, dimensions: int = 1
) -> list[nn.Module]:
    """What stands between a linear layer and its activation: nothing, or torchcvnn's complex batch
    normalisation, which whitens Re and Im of a feature together and has a real Γ [features, 2, 2];
    torch's, where `dtype` is real.

    Trabelsi et al. 2018, Deep complex networks, section 3.5.

    Args:
        features: of the linear layer, or channels of the convolution.
        dtype: of the learned shift; Γ is left uncast.
        dimensions: 1 for features [N, features], 2 for images [N, features, H, W].

    Raises:
        ValueError: there is no such normalisation.
    """
    if normalisation == "none":
        return []
    if normalisation == "batch":
        if not dtype.is_complex:
            real = nn.BatchNorm1d if dimensions == 1 else nn.BatchNorm2d
            return [real(features, dtype=dtype)]
        kind = torchcvnn.nn.BatchNorm1d if dimensions == 1 else torchcvnn.nn.BatchNorm2d
        return [kind(features, cdtype=dtype)]
    raise ValueError(f"normalisation={normalisation}: should be one of none, batch")
