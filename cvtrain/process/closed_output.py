"""Output that nobody reads any more (`| head`): noticed when its reader goes.

Python ignores SIGPIPE, so a command learns of it by a failed write. One that trains writes seldom,
and would train to its end for nobody.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from cvtrain.process.signals import interruption

OUTPUTS = (1, 2)
"""File descriptors of stdout and stderr."""
GONE = select.POLLERR | select.POLLHUP


@contextmanager
def closed_output_noticed() -> Iterator[None]:
    """Inside, a reader of stdout or stderr that goes asks to end, as SIGINT does: `interruption`
    notes SIGPIPE. What is written there afterwards goes nowhere, and raises nothing."""
    pipes = [number for number in OUTPUTS if _is_pipe(number)]
    if not pipes or any(thread.name == __name__ for thread in threading.enumerate()):
        yield
        return
    leave, left = os.pipe()
    watching = threading.Thread(target=_watch, args=(pipes, leave), name=__name__, daemon=True)
    watching.start()
    try:
        yield
    finally:
        os.write(left, b"x")  # not only closed: a process that was forked may have it too
        watching.join()
        os.close(left)
        os.close(leave)


def output_closed() -> bool:
    """Whether a reader of stdout or stderr has gone; what is written there then goes nowhere."""
    poll = _poll_of(number for number in OUTPUTS if _is_pipe(number))
    gone = [number for number, events in poll.poll(0) if events & GONE]
    for number in gone:
        _lead_nowhere(number)
    return bool(gone)


def _watch(pipes: list[int], leave: int) -> None:
    poll = _poll_of(pipes)
    poll.register(leave, select.POLLIN)
    while True:
        for number, events in poll.poll():
            if number == leave:
                return
            poll.unregister(number)
            if events & GONE:  # else this process has closed it itself
                # In this order: whoever finds the output replaced finds the request, too.
                interruption.request(signal.SIGPIPE)
                _lead_nowhere(number)


def _poll_of(numbers: Iterable[int]) -> select.poll:
    """What tells that the other ends of pipes are closed, which needs not be asked for."""
    poll = select.poll()
    for number in numbers:
        poll.register(number, 0)
    return poll


def _is_pipe(number: int) -> bool:
    try:
        mode = os.fstat(number).st_mode
    except OSError:  # closed
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _lead_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
