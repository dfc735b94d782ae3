"""Normalisation by name: of hidden features over a batch, and of each vector by itself.

torchcvnn's LayerNorm and RMSNorm compute their statistics over all vectors of a batch, also in
evaluation, so that the output of one sample depends on the others. The layers here normalise each
vector separately.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
import torchcvnn.nn
from torch import Tensor, nn

Normalisation: TypeAlias = Literal["none", "batch"]


def normalisation_layers(
    normalisation: Normalisation, features: int, dtype: torch.dtype, dimensions: int = 1
) -> list[nn.Module]:
    """Make the layers between a linear layer and its activation: none, or batch normalisation.

    The complex one is torchcvnn's, which whitens Re and Im of a feature together and has a real Γ
    [features, 2, 2]; if `dtype` is real, it is torch's.

    Trabelsi et al. 2018, Deep complex networks, section 3.5.

    Args:
        normalisation: ``none`` or ``batch``.
        features: number of features of the linear layer, or of channels of the convolution.
        dtype: dtype of the learned shift; Γ is not cast.
        dimensions: 1 for features [N, features], 2 for images [N, features, H, W].

    Raises:
        ValueError: the normalisation is unknown.
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


VectorNormalisation: TypeAlias = Literal["layer", "rms"]

EPS = 1e-5
"""ε of both layers; their inputs are of order 1."""


class LayerNorm(nn.Module):
    """y = Γ (V + εI)^(-½) (x − μ) + β with x = (Re z, Im z), mean μ and covariance V over a vector.

    Eilers and Jiang 2023, Building blocks for a complex-valued transformer architecture; with Γ as
    in Trabelsi et al. 2018, Deep complex networks, section 3.5: initially E|y|² = 1.

    Args:
        features: number of entries of a vector.
        dtype: complex64 or complex128: dtype of β; Γ has the matching real precision.

    Attributes:
        weight: Γ [features, 2, 2], real, initially I/√2.
        bias: β [features], complex, initially zero.
    """

    def __init__(self, features: int, *, dtype: torch.dtype) -> None:
        super().__init__()
        identity = torch.eye(2, dtype=dtype.to_real())
        self.weight = nn.Parameter((identity / 2**0.5).repeat(features, 1, 1))
        self.bias = nn.Parameter(torch.zeros(features, dtype=dtype))

    def forward(self, z: Tensor) -> Tensor:
        """y of z [..., m·features]; each group of `features` entries is a vector."""
        vectors = z.reshape(*z.shape[:-1], -1, len(self.bias))
        centred = vectors - vectors.mean(dim=-1, keepdim=True)
        re, im = centred.real, centred.imag
        rr, ri, ii = ((a * b).mean(-1, keepdim=True) for a, b in ((re, re), (re, im), (im, im)))
        # det(V + εI); det V ≥ 0 is the only part that rounding could make wrong.
        determinant = (rr * ii - ri * ri).clamp(min=0) + EPS * (rr + ii) + EPS**2
        # A^(-½) = (adj A + sI)/(s t), with s = √det A and t = √(tr A + 2s).
        s = determinant.sqrt()
        scale = (s * (rr + ii + 2 * EPS + 2 * s).sqrt()).reciprocal()
        white_re = ((ii + EPS + s) * re - ri * im) * scale
        white_im = ((rr + EPS + s) * im - ri * re) * scale
        g_rr, g_ri, g_ir, g_ii = self.weight.flatten(-2).unbind(-1)
        y = torch.complex(g_rr * white_re + g_ri * white_im, g_ir * white_re + g_ii * white_im)
        return (y + self.bias).reshape(z.shape)


class RMSNorm(nn.Module):
    """y = γ z/√(mean|z|² + ε), with the mean over a vector. It commutes with a phase and is purely
    complex.

    Zhang and Sennrich 2019, Root mean square layer normalization, applied to moduli.

    Args:
        features: number of entries of a vector.
        dtype: complex64 or complex128.

    Attributes:
        weight: γ [features], complex, initially ones.
    """

    def __init__(self, features: int, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features, dtype=dtype))

    def forward(self, z: Tensor) -> Tensor:
        """y of z [..., m·features]; each group of `features` entries is a vector."""
        vectors = z.reshape(*z.shape[:-1], -1, len(self.weight))
        power = (vectors.real.square() + vectors.imag.square()).mean(dim=-1, keepdim=True)
        return (self.weight * (vectors * (power + EPS).rsqrt())).reshape(z.shape)


VECTOR_NORMALISATIONS: dict[VectorNormalisation, type[LayerNorm] | type[RMSNorm]] = {
    "layer": LayerNorm,
    "rms": RMSNorm,
}
