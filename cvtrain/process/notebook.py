"""Output in a notebook while a call runs."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")


@contextmanager
def progress_alone() -> Iterator[None]:
    """Context in which the results that a command would print are not shown, since the call returns
    them. Progress is shown; in a notebook without the red background of stderr."""
    shown: TextIO = sys.stdout if in_notebook() else sys.stderr
    with redirect_stderr(shown), redirect_stdout(io.StringIO()):
        yield


def redraw(text: str) -> None:
    """Replace the last line of a notebook's output by `text`."""
    print(f"\r{text:<78}", end="", file=sys.stderr, flush=True)
