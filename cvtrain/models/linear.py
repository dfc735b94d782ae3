"""A linear map of vectors, complex or real."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cvtrain.models.initialisation import Initialisation, initialise_
from cvtrain.models.parameters import check_complex


def linear_layer(
    in_features: int, out_features: int, *, initialisation: Initialisation, dtype: torch.dtype
) -> nn.Module:
    """A linear map with an initially zero bias: `Linear`, or torch's linear layer if `dtype` is
    real.

    Raises:
        ValueError: the initialisation is unknown.
    """
    if dtype.is_complex:
        return Linear(
            in_features, out_features, bias=True, initialisation=initialisation, dtype=dtype
        )
    layer = nn.Linear(in_features, out_features, dtype=dtype)
    initialise_(layer.weight, initialisation)
    nn.init.zeros_(layer.bias)
    return layer


class Linear(nn.Module):
    """y = x wᵀ + b, or without b.

    Attributes:
        weight: w [out, in], complex.
        bias: b [out], complex and initially zero, or None.

    Raises:
        ValueError: `dtype` is not complex, or the initialisation is unknown.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = False,
        initialisation: Initialisation = "glorot",
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        check_complex(dtype)
        self.weight = nn.Parameter(torch.empty(out_features, in_features, dtype=dtype))
        initialise_(self.weight, initialisation)
        self.bias = nn.Parameter(torch.zeros(out_features, dtype=dtype)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """y [N, out] of x [N, ...], flattened."""
        return nn.functional.linear(x.flatten(1), self.weight, self.bias)
