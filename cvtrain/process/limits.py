"""Limits of this machine on numbers of processes and on memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from cvtrain.process.errors import InputError

PROCESSES_PER_CORE = 4
"""Processes per core: each takes some 400 MB before it trains, and more make nothing faster."""

CGROUP = Path("/sys/fs/cgroup")
STATUS = Path("/proc/self/status")


def most_processes() -> int:
    """The largest number of training processes that may be requested on this machine."""
    return PROCESSES_PER_CORE * (os.cpu_count() or 1)


def check_process_count(key: str, processes: int) -> None:
    """Check that a number of processes is at most `most_processes`.

    Args:
        key: configuration key that requests them.
        processes: number of processes.

    Raises:
        InputError: there are too many; the message has the largest number.
    """
    if processes > most_processes():
        raise InputError(
            f"{key}={processes}: should be at most {most_processes()}, {PROCESSES_PER_CORE} for"
            " each of the cores of this machine"
        )


def free_host_memory() -> float:
    """Memory that this process can still take, in bytes: free memory, within a container's
    limit."""
    free = float(psutil.virtual_memory().available)
    try:
        limit = float((CGROUP / "memory.max").read_text())
        used = float((CGROUP / "memory.current").read_text())
    except (OSError, ValueError):  # a ValueError for "max"
        return free
    return min(free, limit - used)


@contextmanager
def within_free_memory() -> Iterator[None]:
    """Context in which a request for more memory than is free raises MemoryError.

    Linux grants memory that it does not have, and kills the process that fills it: a width with
    three digits too many would end this or another command without a message. On other systems
    nothing is limited.
    """
    used = _data_segment()
    if used is None:
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = used + max(0, int(free_host_memory()))
    for bound in (soft, hard):
        if bound != resource.RLIM_INFINITY:
            limit = min(limit, bound)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_segment() -> int | None:
    """Number of bytes that count against RLIMIT_DATA; None if the system does not report it."""
    try:
        match = re.search(r"VmData:\s+(\d+) kB", STATUS.read_text())
    except OSError:
        return None
    return None if match is None else 1024 * int(match[1])
