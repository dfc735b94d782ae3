"""A lease on a sweep directory: a command shows workers on other machines that it is alive.

The command rewrites a counter in a file; a worker reads it and measures by its own clock how long
it has not changed. Times of files are not compared: the clocks of two machines differ, and a
network file system answers from its cache for a minute or more.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from time import monotonic

from cvtrain.process.regular_file import read_regular

LEASE_FILE = ".lease"
LEASE_SECONDS = 180.0
"""Without a renewal, after which workers leave: longer than caches of file systems and pauses."""
RENEWALS = 18
"""Within that time."""
WIDTH = 20
"""Characters of the counter, ever the same: a full disk takes what needs no new block."""


class Lease:
    """Renews the lease of a directory in a thread, from `open` to `close`.

    A renewal that fails is tried again at the next one; a file that was removed is made again.

    Args:
        directory: of the sweep.
        seconds: after which a worker leaves that has seen no renewal.
    """

    def __init__(self, directory: Path, seconds: float = LEASE_SECONDS) -> None:
        self._path = directory / LEASE_FILE
        self._every = seconds / RENEWALS
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._count = 0

    def open(self) -> None:
        """Write the file, and begin to renew it.

        Raises:
            OSError: it cannot be written.
        """
        self._write()
        self._thread.start()

    def close(self) -> None:
        """Renew it no longer, and remove it."""
        self._ends.set()
        self._thread.join()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _renew(self) -> None:
        while not self._ends.wait(self._every):
            with suppress(OSError):
                self._write()

    def _write(self) -> None:
        self._count += 1
        # Opened each time: another machine sees what was written when it was closed.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.pwrite(descriptor, f"{self._count:0{WIDTH}d}\n".encode(), 0)
        finally:
            os.close(descriptor)


class LeaseWatch:
    """What a worker knows of a lease.

    Args:
        directory: of the sweep.
        seconds: how long the lease may stay as it is.
    """

    def __init__(self, directory: Path, seconds: float = LEASE_SECONDS) -> None:
        self._path, self._seconds = directory / LEASE_FILE, seconds
        self._seen: bytes | None = None
        self._changed = monotonic()

    def expired(self) -> bool:
        """Whether nobody has renewed the lease for too long.

        A file that is missing or cannot be read is no renewal, and neither is its return.
        """
        content = _content(self._path)
        if content is not None and content != self._seen:
            self._seen, self._changed = content, monotonic()
        return monotonic() - self._changed > self._seconds


def _content(path: Path) -> bytes | None:
    try:
        return read_regular(path, 4 * WIDTH)
    except OSError:
        return None
