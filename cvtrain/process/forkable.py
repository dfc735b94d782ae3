"""Keep a process forkable after it has loaded torch, so that its forks have loaded it too.

Every new process takes seconds to load torch and Lightning; a fork takes none, and has the data as
well. But threads do not survive a fork, and a thread pool of torch that lacks its threads waits for
them forever. torch is therefore limited to one thread before it first computes.
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
"""Whether this process started as a command, without torch."""
_threads: int | None = None
"""Number of threads of torch before it was limited to one; None: it is not limited."""


def begin_command() -> None:
    """Note whether the command has its own process, in which torch has computed nothing. This is
    not so if a program loaded torch before it called cvtrain."""
    global _fresh
    _fresh = "torch" not in sys.modules


def become_forkable() -> bool:
    """Prevent torch from starting threads in this process; call this before torch computes.

    Returns:
        whether the process can be forked. False if the process is not the command's own, and on
        systems whose libraries do not survive a fork (macOS).
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
    """Context during which a fork of this process calls a function.

    If this process cannot be forked or has one core, it calls the function itself when the result
    is requested. It also does so if the fork fails, and then raises the error; the function may
    therefore be called twice.

    Args:
        work: function whose result can be pickled; its other changes in memory are lost.

    Yields:
        a function that waits for the result and returns it; call it within the context.
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
    """Call `work` and send its result. A failure is silent: the parent calls `work` again."""
    exit_with_parent()
    try:
        sender.send(work())
    except BaseException:
        os._exit(1)


def use_all_threads() -> None:
    """Allow torch to start threads again; the process cannot be forked any more."""
    global _threads
    if _threads is not None:
        import torch

        torch.set_num_threads(_threads)
        _threads = None


def usable_threads() -> int:
    """Number of threads that torch has for this process and its forks together."""
    import torch

    return _threads or torch.get_num_threads()


def usable_cores() -> int:
    """Number of cores that this process may use, limited by ``OMP_NUM_THREADS`` as torch is."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(limit)) if limit.isdecimal() and int(limit) else cores
