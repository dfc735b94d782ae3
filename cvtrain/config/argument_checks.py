"""Checks of numbers that raise one line with the argument, its value and what it should be."""

from __future__ import annotations

import math


def check_integer(name: str, value: int, *, minimum: int, maximum: int | None = None) -> None:
    """Raise ValueError unless `value` is an integer in the closed range."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < minimum or (maximum is not None and value > maximum):
        allowed = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise ValueError(f"{name}={value}: should be an integer {allowed}")


def check_number(name: str, value: float, *, minimum: float, maximum: float = math.inf) -> None:
    """Raise ValueError unless `value` is a finite number in the closed range."""
    real = isinstance(value, int | float) and not isinstance(value, bool)
    if not real or not math.isfinite(value) or not minimum <= value <= maximum:
        limited = math.isfinite(maximum)
        allowed = f"from {minimum} to {maximum}" if limited else f"of at least {minimum}"
        raise ValueError(f"{name}={value}: should be a finite number {allowed}")
