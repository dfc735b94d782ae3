"""Read regular files only; other kinds of files, which anybody may have put there, are rejected.

A pipe in place of a file would block its reader, a device would never end, and a file of terabytes
would fill the memory.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISREG, "a file"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
)


class UnsuitableFileError(OSError):
    """The path is not a regular file, or the file is too large; `strerror` says which."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(errno.EINVAL, reason, str(path))


def open_regular(path: Path, most_bytes: int | None = None) -> BinaryIO:
    """Open a regular file for reading, in binary.

    Args:
        path: path of the file; links are followed.
        most_bytes: largest accepted size; None: any.

    Raises:
        OSError: the file does not exist, cannot be opened, is of another kind (a directory, a pipe,
            a device), or is too large (`UnsuitableFileError`).
    """
    try:
        # Checked before it is opened, since opening a device may have effects.
        _refuse_other_kinds(path, path.stat().st_mode)
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags)
    except ValueError as error:  # a name that no file system accepts
        raise UnsuitableFileError(path, f"is no path ({error})") from None
    try:
        status = os.fstat(descriptor)
        _refuse_other_kinds(path, status.st_mode)
        if most_bytes is not None and status.st_size > most_bytes:
            size, most = (f"{number / 1e6:,.0f} MB" for number in (status.st_size, most_bytes))
            raise UnsuitableFileError(path, f"has {size}, at most {most} are read")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The content of a regular file of at most `most_bytes`.

    Raises:
        OSError: the file does not exist, cannot be read, is of another kind, or is too large.
    """
    with open_regular(path, most_bytes) as file:
        return file.read(most_bytes)


def kind_of(path: Path) -> str | None:
    """``a file``, ``a directory``, ``a named pipe``, ``a socket`` or ``a device``, with links
    followed.

    Returns:
        None if the path cannot be examined: it does not exist, is a link to itself, has too long a
            name, or lies in a directory that may not be searched.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return None
    return _kind(mode)


def is_file(path: Path) -> bool:
    """Whether the path is a regular file; False, without an error, if it cannot be examined."""
    return kind_of(path) == "a file"


def is_directory(path: Path) -> bool:
    """Whether the path is a directory; False, without an error, if it cannot be examined."""
    return kind_of(path) == "a directory"


def _kind(mode: int) -> str:
    return next((name for is_kind, name in KINDS if is_kind(mode)), "a device")


def _refuse_other_kinds(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise UnsuitableFileError(path, f"is {_kind(mode)}, should be a file")
