"""Which errors say that memory ran out."""

from __future__ import annotations

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller computation might have succeeded."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # torch has no type of its own for the host's allocator.
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
