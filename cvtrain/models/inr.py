"""Implicit neural representations: networks that map coordinates to a complex signal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from cvtrain.models.initialisation import Initialisation, initialise_
from cvtrain.models.linear import Linear
from cvtrain.models.parameters import cast_parameters

Wave: TypeAlias = Literal["gabor", "sine"]


class Gabor(nn.Module):
    """ψ(z) = exp(iωz − σ²|z|²), at most exp(ω²/4σ²) in modulus.

    Saragadam et al. 2023, WIRE: wavelet implicit neural representations, section 3.

    Args:
        omega, sigma: ω and σ.
    """

    def __init__(self, omega: float, sigma: float) -> None:
        super().__init__()
        self.omega = omega
        self.sigma = sigma

    def forward(self, z: Tensor) -> Tensor:
        """ψ of each entry of complex z, in its shape and dtype."""
        x, y = z.real, z.imag
        exponent = -self.omega * y - self.sigma**2 * (x.square() + y.square())
        return torch.polar(exponent.exp(), self.omega * x)


class Sine(nn.Module):
    """sin(ω Re z) + i·sin(ω Im z). The sine is taken of each part, since sin(ωz) grows as exp(ω|Im
    z|).

    Args:
        omega: angular frequency ω.
    """

    def __init__(self, omega: float) -> None:
        super().__init__()
        self.omega = omega

    def forward(self, z: Tensor) -> Tensor:
        """The sines of each entry of complex z, in its shape and dtype."""
        return torch.complex((self.omega * z.real).sin(), (self.omega * z.imag).sin())


class Inr(nn.Module):
    """Complex linear layers with waves between them: y(r) at coordinates r, typically in [−1, 1].

    Weights w and biases of a hidden layer are drawn together, as the weights of its input and of
    one more entry 1, so that the waves start at different phases and positions. After the first
    layer of sines they are scaled by 1/ω: with ``he``, Re and Im of ωz then have variance 1 at any
    depth, as in Sitzmann et al. 2020, Implicit neural representations with periodic activation
    functions, section 3.2.

    Args:
        in_features: number of coordinates of a point.
        out_features: number of outputs, complex.
        hidden: widths of the hidden layers, at least one.
        activation: ``gabor`` or ``sine``.
        omega: angular frequency ω of the waves, which sets the resolution. For sines about 10.
        sigma: σ of gabor, the inverse of its width.
        initialisation: initialisation of the weights; the output's bias is initially zero.

    Raises:
        ValueError: `hidden` is empty, `omega` or `sigma` is not positive and finite, `dtype` is not
            complex, or a name is unknown.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        hidden: Sequence[int] = (64, 64, 64),
        activation: Wave = "gabor",
        omega: float = 2.0,
        sigma: float = 2.0,
        initialisation: Initialisation = "he",
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        if not hidden:
            raise ValueError("hidden=[]: should have at least one width")
        if activation not in ("gabor", "sine"):
            raise ValueError(f"activation={activation}: should be one of gabor, sine")
        for name, value in (("omega", omega), ("sigma", sigma)):
            if not 0 < value < math.inf:
                raise ValueError(f"{name}={value}: should be positive and finite")
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((in_features, *hidden)):
            scale = 1 / omega if activation == "sine" and layers else 1.0
            layers.append(_drawn_with_bias(inputs, outputs, scale, initialisation, dtype))
            layers.append(Gabor(omega, sigma) if activation == "gabor" else Sine(omega))
        head = Linear(
            hidden[-1], out_features, bias=True, initialisation=initialisation, dtype=dtype
        )
        self.layers = nn.Sequential(*layers, head)
        cast_parameters(self, dtype)

    def forward(self, r: Tensor) -> Tensor:
        """y [N, out], complex, at points r [N, d], complex in dtype."""
        y: Tensor = self.layers(r.flatten(1))
        return y


@torch.no_grad()
def _drawn_with_bias(
    in_features: int,
    out_features: int,
    scale: float,
    initialisation: Initialisation,
    dtype: torch.dtype,
) -> Linear:
    layer = Linear(in_features, out_features, bias=True, initialisation="zeros", dtype=dtype)
    drawn = torch.empty(out_features, in_features + 1, dtype=dtype)
    initialise_(drawn, initialisation)
    drawn *= scale
    layer.weight.copy_(drawn[:, :-1])
    layer.get_parameter("bias").copy_(drawn[:, -1])
    return layer
