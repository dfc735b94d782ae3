"""The memory of training steps: keeping it with the process, and telling that it ran out."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# malloc.h: parameters of mallopt, and their defaults.
_TRIM_THRESHOLD, _TRIM_THRESHOLD_DEFAULT = -1, 128 * 1024
_MMAP_MAX, _MMAP_MAX_DEFAULT = -4, 65536
_LARGEST_INT = 2**31 - 1

WITHOUT_TYPE = ("DefaultCPUAllocator", "CUDA error: out of memory")
"""Parts of what torch says where it has no type of its own: of the host's allocator, and of memory
that a kernel asked the driver for."""


@contextmanager
def retain_freed_memory() -> Iterator[None]:
    """Inside, freed memory stays with the process; outside, it is given back.

    The C library returns every large tensor to the system as it is freed, and the next one of its
    size is paid for page by page: a third of a stacked step. Does nothing where the C library is
    not GNU's (mallopt(3)).
    """
    try:
        library = ctypes.CDLL(None)
        mallopt, malloc_trim = library.mallopt, library.malloc_trim
    except (OSError, AttributeError, TypeError):
        yield
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, _LARGEST_INT)
    try:
        yield
    finally:
        mallopt(_MMAP_MAX, _MMAP_MAX_DEFAULT)
        mallopt(_TRIM_THRESHOLD, _TRIM_THRESHOLD_DEFAULT)
        malloc_trim(0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller computation might have succeeded."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(part in str(error) for part in WITHOUT_TYPE)
