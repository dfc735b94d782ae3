"""Which errors come of the machine, and say nothing of the network, the data or the arguments."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import torch

from cvtrain.process.errors import first_line

OF_THE_MACHINE = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG),
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN),
        *(errno.ESTALE, errno.ETIMEDOUT, errno.ENOLCK),
    }
)
"""Errors of a disk, a network file system or the kernel; other numbers may speak of one file."""

TOLD_BY_TORCH = (
    "can't start new thread",
    "DataLoader worker (pid",
    "CUDA error",
    *(f"{os.strerror(number)} ({number})" for number in OF_THE_MACHINE),
)
"""Parts of the RuntimeErrors that torch and Python raise for such reasons; torch ends a message on
shared memory with the system's text and number."""


def machine_failure(error: BaseException) -> str | None:
    """One line on what failed for a reason of the machine, None for any other error.

    Memory that ran out is none of it: less may be asked for (`is_out_of_memory`).

    Args:
        error: its causes and contexts are looked at too, since libraries hide what they met.
    """
    for each in _chain(error):
        if isinstance(each, OSError) and _is_of_the_machine(each):
            return os_error_line(each)
        if isinstance(each, torch.AcceleratorError):
            return first_line(each)
        if isinstance(each, RuntimeError) and any(part in str(each) for part in TOLD_BY_TORCH):
            return first_line(each)
    return None


def os_error_line(error: OSError) -> str:
    """What an OSError says, with the file that it is about."""
    reason = error.strerror or first_line(error) or type(error).__name__
    return reason if error.filename is None else f"{reason}: {error.filename}"


def _is_of_the_machine(error: OSError) -> bool:
    # A library that gives up waiting for another machine has no number to give.
    return error.errno in OF_THE_MACHINE or isinstance(error, TimeoutError | ConnectionError)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
