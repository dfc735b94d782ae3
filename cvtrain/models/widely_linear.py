"""A real-linear map of complex vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cvtrain.models.initialisation import Initialisation, initialise_
from cvtrain.models.linear import Linear


class WidelyLinear(Linear):
    """y = x wᵀ + x* vᵀ + b, or without b: any map that is linear in (Re x, Im x).

    Re y = Re x Re(w + v)ᵀ − Im x Im(w − v)ᵀ and Im y = Re x Im(w + v)ᵀ + Im x Re(w − v)ᵀ.
    Picinbono and Chevalier 1995, Widely linear estimation with complex data.

    Attributes:
        weight: w [out, in], complex.
        conjugate_weight: v [out, in], complex.
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
        super().__init__(
            in_features, out_features, bias=bias, initialisation=initialisation, dtype=dtype
        )
        self.conjugate_weight = nn.Parameter(torch.empty_like(self.weight))
        initialise_(self.conjugate_weight, initialisation)

    def forward(self, x: Tensor) -> Tensor:
        """y [N, out] of x [N, ...], flattened."""
        return super().forward(x) + nn.functional.linear(x.flatten(1).conj(), self.conjugate_weight)
