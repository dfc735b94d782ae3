"""torchcvnn's activations by name, the two that matter most in a cheaper form of our own; and what
stands for each in a real network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torchcvnn.nn
from torch import nn

from cvtrain.models.cardioid import Cardioid
from cvtrain.models.modrelu import ModReLU

# Left out: Mod, whose output is real, and zAbsReLU, whose radius never gets a gradient.
ACTIVATIONS = (
    "Cardioid",
    "modReLU",
    "zReLU",
    "zLeakyReLU",
    "CReLU",
    "CPReLU",
    "CELU",
    "CCELU",
    "CGELU",
    "CSigmoid",
    "CTanh",
)
"""Those of modReLU, zLeakyReLU and CPReLU have real parameters, float32 until they are cast."""

CHEAPER: dict[str, type[nn.Module]] = {"Cardioid": Cardioid, "modReLU": ModReLU}
"""The same functions and parameters with a backward written out."""

REAL_COUNTERPARTS: dict[str, Callable[[], nn.Module]] = {
    "Cardioid": nn.ReLU,
    "modReLU": nn.ReLU,
    "zReLU": nn.ReLU,
    "zLeakyReLU": partial(nn.PReLU, init=0.2),
    "CReLU": nn.ReLU,
    "CPReLU": nn.PReLU,
    "CELU": nn.ELU,
    "CCELU": nn.CELU,
    "CGELU": nn.GELU,
    "CSigmoid": nn.Sigmoid,
    "CTanh": nn.Tanh,
}
"""What each applies to Re and to Im, or is on the real axis; ReLU for modReLU, which is linear
there as long as its bias is 0."""


def activation(name: str, dtype: torch.dtype = torch.complex64) -> nn.Module:
    """A new activation ℂ → ℂ, or ℝ → ℝ where `dtype` is real; its name in upper or lower case.

    Raises:
        ValueError: there is no such activation.
    """
    by_lower_case = {known.lower(): known for known in ACTIVATIONS}
    if name.lower() not in by_lower_case:
        raise ValueError(f"activation={name}: should be one of {', '.join(ACTIVATIONS)}")
    known = by_lower_case[name.lower()]
    if not dtype.is_complex:
        return REAL_COUNTERPARTS[known]()
    kind = CHEAPER.get(known) or getattr(torchcvnn.nn, known)
    module: nn.Module = kind()
    return module
