"""Importing large libraries."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collections() -> Iterator[None]:
    """Inside, Python does not look for garbage; afterwards it does, but among newer objects alone.

    Torch and Lightning define a million objects that stay. Looking through them takes an eighth of
    the time of their import, and in a fork copies the memory in which they are.
    """
    collects = gc.isenabled()
    gc.collect()  # what is garbage by now does not stay
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()
