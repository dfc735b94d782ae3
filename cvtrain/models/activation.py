"""torchcvnn's activations by name; the two that matter most in a cheaper form of our own."""

from __future__ import annotations

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


def activation(name: str) -> nn.Module:
    """A new activation ℂ → ℂ, its name in upper or lower case.

    Raises:
        ValueError: there is no such activation.
    """
    by_lower_case = {known.lower(): known for known in ACTIVATIONS}
    if name.lower() not in by_lower_case:
        raise ValueError(f"activation={name}: should be one of {', '.join(ACTIVATIONS)}")
    known = by_lower_case[name.lower()]
    kind = CHEAPER.get(known) or getattr(torchcvnn.nn, known)
    module: nn.Module = kind()
    return module
