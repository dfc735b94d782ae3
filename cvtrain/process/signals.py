"""Requests to end the process: SIGINT, SIGTERM, and output that nobody reads any more (`| head`).

The first signal ends the current step cleanly, the second ends at once. A handler that raises is
not enough: its exception is lost if Python or a library runs code whose exceptions it drops
(`__del__`, callbacks of weak references, a bare `except`). The signal is therefore also recorded,
and long work checks for it between its parts (`Interruption.check`).

Python ignores SIGPIPE, so a command learns from a failed write that its reader is gone. A training
command seldom writes, and would train to its end for nobody; a thread therefore watches the
outputs.
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
    """Records that a signal came; long work checks for it between its parts.

    Attributes:
        requested: number of the last signal; None: no signal came.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self._deferrals = 0
        self._answering = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: record the signal; raise at once if nothing trains or it is the second
        one.

        Raises:
            Interrupted: ends the work here.
        """
        second = self.requested is not None
        self.request(number)
        if second or self._deferrals == 0:
            raise Interrupted(number)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Signal handler of a worker: like `handle`, but between two jobs it does not raise.

        Raises:
            Interrupted: a second signal came while a job trains.
        """
        if self.requested is not None and self._deferrals:
            raise Interrupted(number)
        self.request(number)

    def request(self, number: int) -> None:
        """Record a signal, from any thread, without raising."""
        self.requested = number
        self._answering = False

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Context in which a first signal is only recorded; the loop ends its step and leaves."""
        self._deferrals += 1
        try:
            yield
        finally:
            self._deferrals -= 1

    @contextmanager
    def answered(self) -> Iterator[None]:
        """Context for work that an earlier signal leads to, such as the report on what was trained.

        Within it, `check` raises only after a further signal.
        """
        self._answering = True
        try:
            yield
        finally:
            self._answering = False

    def check(self) -> None:
        """Raise `Interrupted` if a signal was recorded."""
        if self.requested is not None and not self._answering:
            raise Interrupted(self.requested)


interruption = Interruption()
"""The record of signals of this process, which has one handler per signal."""


@contextmanager
def signals_handled() -> Iterator[None]:
    """Context that routes SIGINT and SIGTERM to `interruption` (in the main thread only).

    Nested in another such context it does nothing, so that an earlier signal is not forgotten.
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
    """`hook` without a message for a signal that could not be raised where it came; the next
    `check` raises it."""

    def filtered(unraisable: UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, Interrupted):
            hook(unraisable)

    return filtered


@contextmanager
def children_shielded_from_ctrl_c() -> Iterator[None]:
    """Context in which started processes ignore the Ctrl-C of a terminal, which reaches all of
    them.

    This process passes the signal on once they can end their step.
    """
    resource_tracker.ensure_running()  # started here, since starting it unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def output_watched() -> Iterator[None]:
    """Context in which a closed stdout or stderr asks to end as SIGINT does: `interruption` records
    SIGPIPE.

    Later output is discarded without an error.
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
        os.write(stop_write, b"x")  # closing is not enough: a forked process may hold it too
        watcher.join()
        os.close(stop_write)
        os.close(stop_read)


def output_closed() -> bool:
    """Whether the reader of stdout or stderr is gone; output is then discarded."""
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
            if events & READER_GONE:  # otherwise this process has closed it itself
                # In this order: code that finds the output replaced also finds the request.
                interruption.request(signal.SIGPIPE)
                _redirect_to_null(number)


def _poll_of(pipes: Iterable[int]) -> select.poll:
    poll = select.poll()
    for number in pipes:
        poll.register(number, 0)  # a closed other end is reported without being requested
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
