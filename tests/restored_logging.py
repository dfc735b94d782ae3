"""Logging as it was before a command in this process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


def close_logs() -> None:
    """Close the handlers of earlier commands: files of their own, streams that were captured."""
    for handler in list(logging.root.handlers):
        if type(handler) in (logging.StreamHandler, logging.FileHandler):
            logging.root.removeHandler(handler)
            handler.close()


@contextmanager
def logging_put_back() -> Iterator[None]:
    """Close what was opened inside, and put handlers and level of the root logger back."""
    close_logs()  # the command closes them too, and they would open their files again
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
