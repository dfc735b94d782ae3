"""What asks the process to end: SIGINT, SIGTERM, and output that nobody reads any more (`| head`).

The first signal ends the current step cleanly, the second ends at once. A handler that raises is
not enough: what it raises is lost where Python or a library runs code whose exceptions it drops
(`__del__`, callbacks of weak references, a bare `except`). So the signal is also remembered, and
long work asks for it between its parts (`Interruption.check`).

Python ignores SIGPIPE, so a command learns by a failed write that its reader has gone. A command
that trains writes seldom, and would train to its end for nobody: a thread watches the outputs.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType
from typing import TYPE_CHECKING

from cvtrain.process.errors import Interrupted

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

SIGNALS = (signal.SIGINT, signal.SIGTERM)
OUTPUTS = (1, 2)
"""File descriptors of stdout and stderr."""
READER_GONE = select.POLLERR | select.POLLHUP
WATCHER = "cvtrain output watcher"


class Interruption:
    """Remembers that a signal came; long work asks for it between its parts.

    Attributes:
        requested: number of the last signal; None: none came.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self._deferrals = 0
        self._answering = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: note the signal; raise at once if nothing trains or it is the second.

        Raises:
            Interrupted: the work ends here.
        """
        second = self.requested is not None
        self.request(number)
        if second or self._deferrals == 0:
            raise Interrupted(number)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Signal handler of a worker: as `handle`, but between two jobs it raises nothing.

        Raises:
            Interrupted: a second signal came while a job trains.
        """
        if self.requested is not None and self._deferrals:
            raise Interrupted(number)
        self.request(number)

    def request(self, number: int) -> None:
        """Note a signal, from any thread, and raise nothing."""
        self.requested = number
        self._answering = False

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, a first signal is only noted; the loop ends its step and leaves."""
        self._deferrals += 1
        try:
            yield
        finally:
            self._deferrals -= 1

    @contextmanager
    def answered(self) -> Iterator[None]:
        """For what an earlier signal leads to, such as the report on what was trained.

        Inside, `check` raises only after a further signal.
        """
        self._answering = True
        try:
            yield
        finally:
            self._answering = False

    def check(self) -> None:
        """Raise `Interrupted` if a signal was noted."""
        if self.requested is not None and not self._answering:
            raise Interrupted(self.requested)


interruption = Interruption()
"""The process's one record of signals: a process has one handler per signal."""


@contextmanager
def signals_handled() -> Iterator[None]:
    """Route SIGINT and SIGTERM to `interruption` while inside (in the main thread only).

    Nested in another such block it does nothing: a signal that came before is not forgotten.
    """
    nested = signal.getsignal(signal.SIGINT) == interruption.handle
    if nested or threading.current_thread() is not threading.main_thread():
        yield
        return
    interruption.requested = None
    unraisable = sys.unraisablehook
    sys.unraisablehook = _without_signals(unraisable)
    previous = {number: signal.signal(number, interruption.handle) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        sys.unraisablehook = unraisable
        interruption.requested = None


def _without_signals(
    hook: Callable[[UnraisableHookArgs], object],
) -> Callable[[UnraisableHookArgs], None]:
    """`hook`, silent on a signal that could not be raised where it came: the next `check` does."""

    def filtered(unraisable: UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, Interrupted):
            hook(unraisable)

    return filtered


@contextmanager
def children_shielded_from_ctrl_c() -> Iterator[None]:
    """Processes that are started inside ignore the Ctrl-C of a terminal, which reaches all of them.

    This process passes it on to them once they can end their step.
    """
    resource_tracker.ensure_running()  # starting it unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def output_watched() -> Iterator[None]:
    """Inside, a closed stdout or stderr asks to end as SIGINT does: `interruption` notes SIGPIPE.

    What is written there afterwards goes nowhere, and raises nothing.
    """
    pipes = [number for number in OUTPUTS if _is_pipe(number)]
    if not pipes or any(thread.name == WATCHER for thread in threading.enumerate()):
        yield
        return
    stop_read, stop_write = os.pipe()
    watcher = threading.Thread(target=_watch, args=(pipes, stop_read), name=WATCHER, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        os.write(stop_write, b"x")  # not only closed: a forked process may hold it too
        watcher.join()
        os.close(stop_write)
        os.close(stop_read)


def output_closed() -> bool:
    """Whether the reader of stdout or stderr has gone; what is written there then goes nowhere."""
    poll = _poll_of(number for number in OUTPUTS if _is_pipe(number))
    gone = [number for number, events in poll.poll(0) if events & READER_GONE]
    for number in gone:
        _redirect_to_null(number)
    return bool(gone)


def _watch(pipes: list[int], stop: int) -> None:
    poll = _poll_of(pipes)
    poll.register(stop, select.POLLIN)
    while True:
        for number, events in poll.poll():
            if number == stop:
                return
            poll.unregister(number)
            if events & READER_GONE:  # else this process has closed it itself
                # In this order: whoever finds the output replaced finds the request, too.
                interruption.request(signal.SIGPIPE)
                _redirect_to_null(number)


def _poll_of(pipes: Iterable[int]) -> select.poll:
    poll = select.poll()
    for number in pipes:
        poll.register(number, 0)  # that the other end is closed is reported without asking
    return poll


def _is_pipe(number: int) -> bool:
    try:
        mode = os.fstat(number).st_mode
    except OSError:  # closed
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _redirect_to_null(number: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)
