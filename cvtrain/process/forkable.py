"""A process that can be forked after it has loaded torch: its forks begin with all it has loaded.

Loading torch and Lightning takes seconds, in each process that is started anew. In a fork it takes
none, and the data are there too. But threads do not survive a fork, and a thread pool of torch's
that lacks its threads waits for them forever. So torch gets one thread before it first computes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from typing import TypeVar

from cvtrain.process.lifetime import exit_with_parent
from cvtrain.process.signals import children_shielded_from_ctrl_c

Result = TypeVar("Result")

_fresh = False
"""Whether this process began as a command: without torch."""
_threads: int | None = None
"""Of torch, while this process has given them up to be forkable."""


def begin_command() -> None:
    """Note whether a command begins in a process of its own, in which torch has computed nothing.

    It has not where a program has loaded torch before it calls cvtrain.
    """
    global _fresh
    _fresh = "torch" not in sys.modules


def become_forkable() -> bool:
    """Let torch start no threads in this process; to be called before torch computes for a command.

    Returns:
        whether the process can be forked: False in a process that is not the command's own, and
        where the system's libraries do not survive a fork (macOS).
    """
    global _threads
    if _threads is not None:
        return True
    if not _fresh or sys.platform != "linux":
        return False
    import torch

    _threads = torch.get_num_threads()
    torch.set_num_threads(1)
    return True


def is_forkable() -> bool:
    """Whether torch has started no threads in this process."""
    return _threads is not None


@contextmanager
def beside(work: Callable[[], Result]) -> Iterator[Callable[[], Result]]:
    """Have work done in a fork of this process, beside what is done inside.

    Where this process cannot be forked, or has one core, it does the work itself, when it is asked
    for the result. It does so too where the fork fails, and then raises what is wrong: work may be
    begun twice.

    Args:
        work: its result can be pickled; what else it changes in memory is lost.

    Yields:
        a function that waits for the work and returns its result, to be called inside.
    """
    if not is_forkable() or usable_cores() == 1:
        yield work
        return
    receiver, sender = Pipe(duplex=False)
    fork = get_context("fork").Process(target=_send, args=(work, sender), daemon=True)
    with children_shielded_from_ctrl_c():
        fork.start()
    sender.close()

    def result() -> Result:
        try:
            received: Result = receiver.recv()
        except EOFError:  # it failed
            return work()
        return received

    try:
        yield result
    finally:
        fork.kill()
        fork.join()
        receiver.close()


def _send(work: Callable[[], Result], sender: Connection) -> None:
    """Do the work in a fork; one that fails says nothing, since the work is done once more."""
    exit_with_parent()
    try:
        sender.send(work())
    except BaseException:
        os._exit(1)


def use_all_threads() -> None:
    """Let torch start threads again; the process cannot be forked any more."""
    global _threads
    if _threads is not None:
        import torch

        torch.set_num_threads(_threads)
        _threads = None


def usable_threads() -> int:
    """How many threads torch has for this process and its forks together."""
    import torch

    return _threads or torch.get_num_threads()


def usable_cores() -> int:
    """How many cores this process may use; ``OMP_NUM_THREADS`` limits them as it limits torch."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(limit)) if limit.isdecimal() and int(limit) else cores
