"""Attributes of a layer that the common forward of a stack must not read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import nn

_CALLED = ContextVar("called", default=False)
"""Whether a forward of a stack is running."""


class _Hidden:
    """Descriptor of an attribute that raises an error if a forward of a stack reads it."""

    def __init__(self, name: str, message: str) -> None:
        self._name, self._message = name, message

    def __get__(self, layer: nn.Module | None, kind: type) -> Any:
        if layer is None:
            return self
        if _CALLED.get():
            raise ValueError(self._message)
        return vars(layer)[self._name]

    def __set__(self, layer: nn.Module, value: Any) -> None:
        vars(layer)[self._name] = value


def hide(layer: nn.Module, attribute: str, reason: str) -> None:
    """Make it an error to read an attribute of a layer within the context `hidden`."""
    message = f"{reason}, which their forward reads"
    kind = type(layer)
    names = {"__module__": kind.__module__, attribute: _Hidden(attribute, message)}
    layer.__class__ = type(kind.__name__, (kind,), names)


@contextmanager
def hidden() -> Iterator[None]:
    """Context in which attributes that were passed to `hide` cannot be read."""
    token = _CALLED.set(True)
    try:
        yield
    finally:
        _CALLED.reset(token)
