"""SIGINT and SIGTERM: the first ends the current step cleanly, the second ends at once.

A handler that raises is not enough: what it raises is lost where Python or a library runs code
whose exceptions it drops (`__del__`, callbacks of weak references, a bare `except`). So the signal
is also remembered, and long work asks for it between its parts (`Interruption.check`).
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType
from typing import TYPE_CHECKING

from cvtrain.process.errors import Interrupted

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Remembers that a signal came, for whatever works long to ask between its parts.

    Attributes:
        requested: number of the last signal; None: none came.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self._deferrals = 0
        self._answering = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note the signal; raise at once where nothing is training or it is the second one."""
        second = self.requested is not None
        self.request(number)
        if second or self._deferrals == 0:
            raise Interrupted(number)

    def note(self, number: int, frame: FrameType | None) -> None:
        """The same for a worker, which has nothing to leave between two jobs."""
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
        """Inside is what the signals that came so far lead to, like a report on what there is:
        `check` lets it work until another one comes."""
        self._answering = True
        try:
            yield
        finally:
            self._answering = False

    def check(self) -> None:
        """Raise `Interrupted` if a signal was noted."""
        if self.requested is not None and not self._answering:
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
    """Route SIGINT and SIGTERM to `interruption` while inside (in the main thread only).

    Inside another such block it does nothing: a signal that came there is not forgotten.
    """
    inside = signal.getsignal(signal.SIGINT) == interruption.handle
    if inside or threading.current_thread() is not threading.main_thread():
        yield
        return
    interruption.requested = None
    unraisable = sys.unraisablehook
    sys.unraisablehook = _silent_on_signals(unraisable)
    previous = {number: signal.signal(number, interruption.handle) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        sys.unraisablehook = unraisable
        interruption.requested = None


def _silent_on_signals(
    hook: Callable[[UnraisableHookArgs], object],
) -> Callable[[UnraisableHookArgs], None]:
    """`hook`, but nothing is said of a signal that came where it could not be raised: it is seen at
    the next `check`."""

    def told(unraisable: UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, Interrupted):
            hook(unraisable)

    return told
