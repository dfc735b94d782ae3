"""Memory of training steps: keep freed memory in the process, and recognise that memory ran out."""

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
"""Parts of torch's messages for which it has no exception type: of the CPU allocator, and of memory
that a kernel requested from the driver."""


@contextmanager
def retain_freed_memory() -> Iterator[None]:
    """Context in which freed memory stays with the process; it is returned to the system
    afterwards.

    The C library returns every large tensor to the system when it is freed, and the next tensor of
    this size is mapped again page by page, which costs a third of a stacked step. Without GNU's C
    library (mallopt(3)) nothing is done.
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
    """Whether an error means that memory ran out, so that a smaller computation might succeed."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(part in str(error) for part in WITHOUT_TYPE)
