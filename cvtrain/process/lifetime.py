"""Processes that end with the one that started them."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing import parent_process


def exit_with_parent() -> None:
    """Leave when the parent does: a process without it would write where another may go on.

    Ctrl-C, which reaches all processes of a terminal, is left to the parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
