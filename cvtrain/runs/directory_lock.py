"""Exclusive use of a directory by one command, which claims it, locks it and renews a lease.

The lock keeps a second command out. The lease shows workers on other machines, where locks may not
work, that the command is alive: the command rewrites a counter in a file, and a worker measures by
its own clock how long the counter has not changed. Times of files are not compared, because the
clocks of two machines differ and a network file system answers from its cache for a minute or more.
"""

from __future__ import annotations

import errno
import os
import platform
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from filelock import FileLock, Timeout

from cvtrain.process.errors import InputError, StorageFailed
from cvtrain.process.regular_file import kind_of, read_regular
from cvtrain.process.signals import interruption
from cvtrain.runs.files import remove_unfinished
from cvtrain.runs.safe_names import resolved

LOCK_FILE, OWNER_FILE, LEASE_FILE = ".lock", ".owner", ".lease"
MOST_BYTES = 4096
"""Largest size of the owner file that is read."""
WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
"""Errors of a network file system whose server does not support locks."""
LEASE_SECONDS = 180.0
"""Seconds without a renewal after which workers leave: longer than caches of file systems and
pauses."""
RENEWALS = 18
"""Number of renewals within that time."""
WIDTH = 20
"""Constant width of the lease's counter in characters: rewriting it needs no new disk block."""


class DirectoryLock:
    """Context in which no other command can lock the directory.

    The system releases the lock when its owner dies.

    Raises:
        InputError: another command holds the lock, or the file system has no locks.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = FileLock(directory / LOCK_FILE)

    def __enter__(self) -> DirectoryLock:
        with interruption.deferred():  # otherwise a lock might not be released
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
        """Check that the directory is still the one that was locked.

        Raises:
            StorageFailed: the directory was removed, or belongs to another command.
        """
        check_owner(self._directory, self._owner)

    def __exit__(self, *_: object) -> None:
        # If our directory was removed, another command may have made and locked one with this name.
        with suppress(OSError):  # a file that remains is not locked
            if owner(self._directory) in (None, self._owner):
                (self._directory / OWNER_FILE).unlink(missing_ok=True)
                # Unlink before releasing: after release another process may own the file. filelock
                # never locks a file that is unlinked.
                (self._directory / LOCK_FILE).unlink(missing_ok=True)
        with suppress(OSError):
            self._lock.release()


def owner(directory: Path) -> str | None:
    """Process, machine and time of the lock on a directory; None without a lock, or if the file
    system does not answer."""
    try:
        return read_owner(directory)
    except OSError:
        return None


def read_owner(directory: Path) -> str | None:
    """Process, machine and time of the lock on a directory; None without a lock.

    Raises:
        OSError: the file system does not answer.
    """
    try:
        content = read_regular(directory / OWNER_FILE, MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return content.decode(errors="replace").strip() or None


def check_owner(directory: Path, expected: str | None) -> None:
    """Check that a directory still has its owner.

    Args:
        directory: the locked directory.
        expected: the result of `owner` at that time; None: it was not locked, and nothing is
            checked.

    Raises:
        StorageFailed: the directory was removed, or belongs to another command.
    """
    if expected is None:
        return
    try:
        current = read_owner(directory)
    except OSError:  # the file system does not answer now: the next write will report it
        return
    if current != expected:
        raise StorageFailed(
            f"{directory}: was removed or replaced while its runs trained; nothing more is written"
            " there"
        )


def claim_directory(wanted: Path, key: str) -> Path:
    """Make a directory that no other run or sweep uses, and return its absolute path.

    It is `wanted` itself if that does not exist, else the first free one of `wanted_2`, `wanted_3`,
    …: two commands started in the same second get two directories.

    Args:
        wanted: path of the directory.
        key: configuration key that set it, for the error message.

    Raises:
        InputError: the directory cannot be made, or its path is not allowed in a configuration.
    """
    if wanted.name in ("", ".."):
        raise InputError(f"{key}={wanted}: should be the path of a new directory")
    if kind_of(wanted) not in (None, "a directory"):
        raise InputError(f"{key}={wanted}: should be the path of a directory, is {kind_of(wanted)}")
    path = str(resolved(wanted))
    if "${" in path:
        raise InputError(f"{key}={path}: has ${{ in it, which stands for the value of another key")
    if not path.isascii() and not _is_text(path):
        raise InputError(f"{key}={path}: should be UTF-8 text")
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


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


class Lease:
    """Renews the lease of a directory in a thread, from `open` to `close`.

    A failed renewal is repeated at the next one; a file that was removed is made again.

    Args:
        directory: directory of the sweep.
        seconds: seconds without a renewal after which a worker leaves.
    """

    def __init__(self, directory: Path, seconds: float = LEASE_SECONDS) -> None:
        self._path = directory / LEASE_FILE
        self._period = seconds / RENEWALS
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._count = 0

    def open(self) -> None:
        """Write the file and start to renew it.

        Raises:
            OSError: the file cannot be written.
        """
        self._write()
        self._thread.start()

    def close(self) -> None:
        """Stop renewing the lease, and remove the file."""
        self._ends.set()
        self._thread.join()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _renew(self) -> None:
        while not self._ends.wait(self._period):
            with suppress(OSError):
                self._write()

    def _write(self) -> None:
        self._count += 1
        # Opened each time: another machine sees changes only after the file was closed.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.pwrite(descriptor, f"{self._count:0{WIDTH}d}\n".encode(), 0)
        finally:
            os.close(descriptor)


class LeaseWatch:
    """A worker's view of a lease.

    Args:
        directory: directory of the sweep.
        seconds: seconds for which the lease may stay unchanged.
    """

    def __init__(self, directory: Path, seconds: float = LEASE_SECONDS) -> None:
        self._path, self._seconds = directory / LEASE_FILE, seconds
        self._seen: bytes | None = None
        self._changed = monotonic()

    def expired(self) -> bool:
        """Whether nobody has renewed the lease for too long.

        A missing or unreadable file is not a renewal, and neither is its return.
        """
        try:
            content = read_regular(self._path, 4 * WIDTH)
        except OSError:
            content = None
        if content is not None and content != self._seen:
            self._seen, self._changed = content, monotonic()
        return monotonic() - self._changed > self._seconds
