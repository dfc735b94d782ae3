"""A directory of one's own: claimed by one command, and locked while it trains there."""

from __future__ import annotations

import errno
import os
import platform
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from cvtrain.process.errors import InputError, StorageFailed
from cvtrain.process.regular_file import read_regular
from cvtrain.process.signals import interruption
from cvtrain.runs.files import remove_unfinished
from cvtrain.runs.lease import LEASE_FILE
from cvtrain.runs.links import resolved

LOCK_FILE = ".lock"
OWNER_FILE = ".owner"
MOST_BYTES = 4096
WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
"""Errors of a network file system whose server gives no locks."""


class DirectoryLock:
    """Keeps a second command out of a directory; the system releases it when its owner dies."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = FileLock(directory / LOCK_FILE)

    def __enter__(self) -> DirectoryLock:
        with interruption.deferred():  # else what is locked here might not be released
            return self._lock_and_sign()

    def _lock_and_sign(self) -> DirectoryLock:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"{self._directory}: is being trained by another command"
                f" ({owner(self._directory) or 'unknown'})"
            ) from None
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
            raise InputError(
                f"{self._directory}: its file system has no locks ({error.strerror}), which keep a"
                " second command out; output=… chooses another"
            ) from None
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._owner = f"process {os.getpid()} on {platform.node()} since {now}"
        try:
            (self._directory / OWNER_FILE).write_text(f"{self._owner}\n", encoding="utf-8")
            remove_unfinished(self._directory)
            (self._directory / LEASE_FILE).unlink(missing_ok=True)
        except OSError:
            self.__exit__()
            raise
        return self

    def check(self) -> None:
        """Look whether the directory is still this one's.

        Raises:
            StorageFailed: it was removed, or is another command's.
        """
        check_owner(self._directory, self._owner)

    def __exit__(self, *_: object) -> None:
        # Another command may have made and locked a directory of this name, if ours was removed.
        with suppress(OSError):  # what stays is a name that nobody holds
            if owner(self._directory) in (None, self._owner):
                (self._directory / OWNER_FILE).unlink(missing_ok=True)
                # While it is held: afterwards it may be another's. filelock takes none that is
                # gone.
                (self._directory / LOCK_FILE).unlink(missing_ok=True)
        with suppress(OSError):
            self._lock.release()


def owner(directory: Path) -> str | None:
    """The process that has locked a directory, its machine and since when; None: there is none."""
    try:
        return read_owner(directory)
    except OSError:
        return None


def read_owner(directory: Path) -> str | None:
    """The same, where a file system that does not answer is no answer.

    Raises:
        OSError: whether there is an owner cannot be told.
    """
    try:
        content = read_regular(directory / OWNER_FILE, MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return content.decode(errors="replace").strip() or None


def check_owner(directory: Path, wanted: str | None) -> None:
    """Look whether a directory still has the owner that it had.

    Args:
        directory: that was locked.
        wanted: what `owner` said of it then; None: it was not locked.

    Raises:
        StorageFailed: it was removed, or is another command's.
    """
    if wanted is None:
        return
    try:
        found = read_owner(directory)
    except OSError:  # a file system that does not answer now: the next write tells more
        return
    if found != wanted:
        raise StorageFailed(
            f"{directory}: was removed or replaced while its runs trained; nothing more is written"
            " there"
        )


def claim_directory(wanted: Path, key: str) -> Path:
    """Make a directory that no other run or sweep has, and return its absolute path.

    `wanted` itself where it does not exist yet, else the first free one of `wanted_2`,
    `wanted_3`, …: two launches in one second get two directories.

    Raises:
        InputError: it cannot be made, or its path cannot stand in a configuration.
    """
    place = str(resolved(wanted))
    if "${" in place:
        raise InputError(f"{key}={place}: has ${{ in it, which stands for the value of another key")
    if not place.isascii() and _is_no_text(place):
        raise InputError(f"{key}={place}: is not UTF-8, of which every path should be")
    for attempt in range(1, 1000):
        candidate = wanted if attempt == 1 else wanted.with_name(f"{wanted.name}_{attempt}")
        try:
            candidate.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise InputError(
                f"{key}={wanted}: cannot be written ({error.strerror}); output=… chooses another"
            ) from None
        return candidate.resolve()
    raise InputError(f"{key}={wanted}: a thousand directories of this name exist")


def _is_no_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return True
    return False
