"""SIGINT and SIGTERM: the first ends the current step cleanly, the second ends at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType

from cvtrain.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Remembers that a signal came, for the training loop to ask after every step."""

    def __init__(self) -> None:
        self.requested: int | None = None
        self._deferrals = 0

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note the signal; raise at once where nothing is training or it is the second one."""
        second = self.requested is not None
        self.requested = number
        if second or self._deferrals == 0:
            raise Interrupted(number)

    def note(self, number: int, frame: FrameType | None) -> None:
        """The same for a worker, which has nothing to leave between two jobs."""
        if self.requested is not None and self._deferrals:
            raise Interrupted(number)
        self.requested = number

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, a first signal is only noted; the loop ends its step and leaves."""
        self._deferrals += 1
        try:
            yield
        finally:
            self._deferrals -= 1

    def check(self) -> None:
        """Raise `Interrupted` if a signal was noted."""
        if self.requested is not None:
            raise Interrupted(self.requested)


@contextmanager
def ctrl_c_kept_from_children() -> Iterator[None]:
    """Start processes inside that Ctrl-C at a terminal, which reaches all of them, does not end:
    it is this process that tells them, once they can end their step."""
    resource_tracker.ensure_running()  # it lets the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


interruption = Interruption()
"""The process's one record of signals: a process has one handler per signal."""


@contextmanager
def signals_handled() -> Iterator[None]:
    """Route SIGINT and SIGTERM to `interruption` while inside (in the main thread only)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interruption.requested = None
    previous = {number: signal.signal(number, interruption.handle) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
