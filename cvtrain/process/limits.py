"""How many processes and how much memory may be asked of this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from cvtrain.process.errors import InputError

PROCESSES_PER_CORE = 4
"""Each takes some 400 MB before it trains; more than a few for each core make nothing faster."""

CGROUP = Path("/sys/fs/cgroup")
STATUS = Path("/proc/self/status")


def most_processes() -> int:
    """The largest number of training processes that may be asked for on this machine."""
    return PROCESSES_PER_CORE * (os.cpu_count() or 1)


def check_process_count(key: str, processes: int) -> None:
    """Refuse more processes than `most_processes`.

    Args:
        key: the configuration key that asks for them.
        processes: how many.

    Raises:
        InputError: there are too many; the message says how many there may be.
    """
    if processes > most_processes():
        raise InputError(
            f"{key}={processes}: should be at most {most_processes()}, {PROCESSES_PER_CORE} for"
            " each of the cores of this machine"
        )


def free_host_memory() -> float:
    """Bytes that this process can still take: what is free, within a container's limit."""
    free = float(psutil.virtual_memory().available)
    try:
        limit = float((CGROUP / "memory.max").read_text())  # or "max", which is no number
        used = float((CGROUP / "memory.current").read_text())
    except (OSError, ValueError):
        return free
    return min(free, limit - used)


@contextmanager
def within_free_memory() -> Iterator[None]:
    """Inside, a request for more memory than is free raises MemoryError.

    Linux hands out memory that it does not have, and kills the process that fills it: a width with
    three digits too many would end the command, or another one of the machine, without a word.
    Elsewhere nothing is limited.
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
    """Bytes that count against RLIMIT_DATA; None where the system does not say."""
    try:
        match = re.search(r"VmData:\s+(\d+) kB", STATUS.read_text())
    except OSError:
        return None
    return None if match is None else 1024 * int(match[1])
