"""Initial weights of complex and real layers, drawn from torch's global random state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from torch import Tensor, nn
from torchcvnn.nn import init

Initialisation: TypeAlias = Literal["glorot", "he", "zeros", "ones"]


def glorot_(weight: Tensor) -> None:
    """E|w|² = 2/(fan_in + fan_out), uniform; Re and Im of a complex w independent.

    The uniform variant of torchcvnn. Its normal variant uses torch's complex normal numbers, whose
    variance is E|w|², as if it were that of Re and of Im, and so yields half of this.

    Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward networks.
    """
    if weight.is_complex():
        init.complex_xavier_uniform_(weight, nonlinearity="linear")
    else:
        nn.init.xavier_uniform_(weight)


def he_(weight: Tensor) -> None:
    """E|w|² = 2/fan_in, uniform; Re and Im of a complex w independent.

    He et al. 2015, Delving deep into rectifiers; uniform for the reason given in `glorot_`.
    """
    if weight.is_complex():
        init.complex_kaiming_uniform_(weight, nonlinearity="relu")
    else:
        nn.init.kaiming_uniform_(weight, nonlinearity="relu")


INITIALISATIONS: dict[Initialisation, Callable[[Tensor], object]] = {
    "glorot": glorot_,
    "he": he_,
    "zeros": nn.init.zeros_,
    "ones": nn.init.ones_,
}


def initialise_(weight: Tensor, initialisation: Initialisation) -> None:
    """Fill a weight [out, in, ...], complex or real, in place.

    Raises:
        ValueError: the initialisation is unknown.
    """
    if initialisation not in INITIALISATIONS:
        allowed = ", ".join(INITIALISATIONS)
        raise ValueError(f"initialisation={initialisation}: should be one of {allowed}")
    INITIALISATIONS[initialisation](weight)
