"""Checks of arguments: one line that names the argument, its value and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def check_integer(name: str, value: int, *, minimum: int, maximum: int | None = None) -> None:
    """Raise ValueError unless `value` is an integer in the closed range."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < minimum or (maximum is not None and value > maximum):
        allowed = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise ValueError(f"{name} must be an integer {allowed}, not {value!r}")


def check_number(name: str, value: float, *, minimum: float, maximum: float = math.inf) -> None:
    """Raise ValueError unless `value` is a finite number in the closed range."""
    real = isinstance(value, int | float) and not isinstance(value, bool)
    if not real or not math.isfinite(value) or not minimum <= value <= maximum:
        limited = math.isfinite(maximum)
        allowed = f"from {minimum} to {maximum}" if limited else f"of at least {minimum}"
        raise ValueError(f"{name} must be a finite number {allowed}, not {value!r}")


def check_choice(name: str, value: object, allowed: Sequence[object]) -> None:
    """Raise ValueError unless `value` is one of `allowed`, of which there are at least two."""
    if value not in allowed:
        *others, last = map(str, allowed)
        raise ValueError(f"{name} must be {', '.join(others)} or {last}, not {value!r}")


def check_complex_dtype(dtype: torch.dtype) -> None:
    """Raise ValueError unless `dtype` is complex64 or complex128."""
    import torch  # only here: closed forms check their arguments without it

    if dtype not in (torch.complex64, torch.complex128):
        raise ValueError(f"dtype must be torch.complex64 or torch.complex128, not {dtype}")
