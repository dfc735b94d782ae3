"""Arithmetic with hyperparameters: one number for a whole stack, or one per member.

A numeric hyperparameter is a Python number or a [K] float64 tensor on the CPU. Numbers are combined
in float64 and cast to the parameter's precision last, as in torch.optim. Reading them from the CPU
needs no synchronisation with a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

Number: TypeAlias = float | Tensor


def float64(number: Number) -> Tensor:
    """The number as a float64 tensor [] or [K] on the CPU."""
    return torch.as_tensor(number, dtype=torch.float64, device="cpu")


def column(number: Number, like: Tensor) -> Tensor:
    """The number in `like`'s dtype and on its device, shaped to broadcast along its leading axis.

    Args:
        number: a Python number, or a [] or [K] tensor.
        like: [K, ...], real or complex.

    Returns:
        [1, 1, ...] or [K, 1, ...], with as many axes as `like`.
    """
    cast = float64(number).to(like.device, like.dtype, non_blocking=True)
    return cast.reshape(-1, *(1 for _ in like.shape[1:]))


def on_host(value: Any) -> Any:
    """Move tensors to the CPU as float64, where numbers are combined; a tuple entry by entry.

    Other values are returned unchanged.
    """
    if isinstance(value, Tensor):
        return value.detach().to("cpu", torch.float64)
    return tuple(on_host(entry) for entry in value) if isinstance(value, tuple | list) else value


def where_nonzero(number: Number, changed: Callable[[], Tensor], plain: Tensor) -> Tensor:
    """`changed()` for the members whose number is not 0, `plain` for the others.

    torch.optim skips a term whose coefficient is 0. Adding 0·x would turn −0 into +0, and an
    infinite x into NaN. For a Python 0 nothing is computed.
    """
    if isinstance(number, Tensor):
        return torch.where(column(number != 0, plain).bool(), changed(), plain)
    return plain if number == 0 else changed()


def power(base: Number, exponent: Number) -> Tensor:
    """base^exponent in float64, [K], rounded as Python's ``**`` does.

    torch's vectorised pow rounds about one result in a hundred differently, depending on the
    position in the stack. For operands with gaps between their entries torch calls the C library,
    as Python does.
    """
    bases, exponents = (float64(number).reshape(-1) for number in (base, exponent))
    size = max(len(bases), len(exponents))
    bases, exponents = bases.expand(size), exponents.expand(size)
    gapped = torch.stack((bases, bases), dim=-1)[:, 0]
    return torch.pow(gapped, exponents)


def require(name: str, number: Number, low: float = 0.0, below: float = math.inf) -> None:
    """Check that the number is finite and low ≤ number < below, for every member.

    Raises:
        ValueError: the number is out of range or NaN.
    """
    values = float64(number)
    if not bool((values.isfinite() & (low <= values) & (values < below)).all()):
        raise ValueError(f"{name}={number}: should be a number in [{low}, {below})")
