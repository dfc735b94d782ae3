"""Things that end with a process: the processes that it started, and its temporary files.

A killed process removes nothing. Each temporary directory is therefore locked while its process
lives (the system releases the lock), and the next process that makes one removes those without a
lock.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import parent_process
from pathlib import Path

PREFIX = "cvtrain-"
ATTEMPTS = 10
"""Attempts at making a directory: another process may remove one in the moment before it is
locked."""


def exit_with_parent() -> None:
    """End this process when its parent ends, since a resumed sweep would write the same files.

    Ctrl-C, which reaches all processes of a terminal, is left to the parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """Context with a new directory for temporary files, which is removed at the end or, after a
    crash, by the next process that makes one.

    Raises:
        OSError: the directory cannot be made; the error names the folder of temporary files.
    """
    remove_abandoned()
    path, descriptor = _locked_directory()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


@contextmanager
def temporary_files_in_scratch() -> Iterator[None]:
    """Context in which `tempfile` makes everything in one scratch directory.

    If none can be made, nothing changes: not every command needs temporary files.
    """
    before = tempfile.tempdir
    scratch = scratch_directory()
    try:
        path = scratch.__enter__()
    except OSError:
        yield
        return
    try:
        tempfile.tempdir = str(path)
        yield
    finally:
        tempfile.tempdir = before
        scratch.__exit__(None, None, None)


def remove_abandoned() -> None:
    """Remove this user's scratch directories whose process has ended."""
    with suppress(OSError):
        for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
            with suppress(OSError):
                _remove_if_abandoned(path)


def _remove_if_abandoned(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(descriptor).st_uid == os.getuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)


def _locked_directory() -> tuple[Path, int]:
    for _ in range(ATTEMPTS):
        path = Path(tempfile.mkdtemp(prefix=PREFIX))
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        except OSError:  # without locks nobody takes it for an abandoned directory
            return path, descriptor
        if path.is_dir():
            return path, descriptor
        os.close(descriptor)
    raise OSError(f"{tempfile.gettempdir()}: temporary directories are removed as they are made")
