"""The folder of a report: one report is written into it at a time, and what is there is whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from cvtrain.process.errors import InputError
from cvtrain.runs.directory_lock import LOCK_FILE
from cvtrain.runs.files import remove_unfinished

LONGEST_WAIT = 600.0
"""Seconds that another report, whose figures may take minutes, is waited for."""


@contextmanager
def report_folder(folder: Path) -> Iterator[Path]:
    """Make a folder, and keep other reports out of it while inside; they wait.

    Raises:
        InputError: another report has been written for `LONGEST_WAIT`.
        OSError: it cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(timeout=LONGEST_WAIT)
    except Timeout:
        raise InputError(f"{folder}: another command has been writing a report there") from None
    try:
        remove_unfinished(folder)
        yield folder
    finally:
        # While it is held: afterwards it may be another one's. filelock takes none that is gone.
        (folder / LOCK_FILE).unlink(missing_ok=True)
        lock.release()
