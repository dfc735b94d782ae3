"""Import large libraries faster."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collections() -> Iterator[None]:
    """Context without garbage collection; later collections skip the objects that exist at its end.

    torch and Lightning define a million objects that are never freed. Collections during their
    import take an eighth of its time, and in a fork they copy the memory of these objects.
    """
    collects = gc.isenabled()
    gc.collect()  # so that freeze() keeps no garbage
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()
