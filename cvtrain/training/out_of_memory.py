"""Which errors say that memory ran out."""

from __future__ import annotations

import torch

WITHOUT_TYPE = ("DefaultCPUAllocator", "CUDA error: out of memory")
"""Parts of what torch says where it has no type of its own: of the host's allocator, and of memory
that a kernel asked the driver for."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller computation might have succeeded."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(part in str(error) for part in WITHOUT_TYPE)
