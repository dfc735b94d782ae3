"""What a process may take of the machine's memory, so that too large a request is an error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")
STATUS = Path("/proc/self/status")


def free_host_memory() -> float:
    """Bytes that this process can still take: what is free, and what a container's limit leaves."""
    free = float(psutil.virtual_memory().available)
    try:
        limit = float((CGROUP / "memory.max").read_text())  # or "max", which is no number
        used = float((CGROUP / "memory.current").read_text())
    except (OSError, ValueError):
        return free
    return min(free, limit - used)


@contextmanager
def within_free_memory() -> Iterator[None]:
    """Inside, what asks for more memory than is free gets a MemoryError.

    Linux hands out memory that it does not have, and kills the process that fills it: a width with
    three digits too many would end the command, or another one of the machine, without a word.
    Elsewhere nothing is limited.
    """
    taken = _data_segment()
    if taken is None:
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = taken + max(0, int(free_host_memory()))
    for known in (soft, hard):
        if known != resource.RLIM_INFINITY:
            limit = min(limit, known)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_segment() -> int | None:
    """Bytes that count against the limit; None where the system does not say."""
    try:
        found = re.search(r"VmData:\s+(\d+) kB", STATUS.read_text())
    except OSError:
        return None
    return None if found is None else 1024 * int(found[1])
