"""Telling a disk that takes no more from other failures: what it means for a sweep differs."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cvtrain.errors import FilesChanged, StorageFailed, first_line

NO_MORE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG})
"""Errors of the file system itself."""

OF_A_FILE = frozenset({errno.EACCES, errno.EPERM})
"""Errors of one file, which speak of the storage where the file is one of ours."""

REMOVED = frozenset({errno.ENOENT, errno.ENOTDIR})
"""The same where all of the storage has gone; else they speak of one run."""

OF_SQLITE = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
)
"""The same, as SQLite tells them of a search's study."""


@contextmanager
def storage_failures_told(root: Path) -> Iterator[None]:
    """Inside, an error that says that `root` cannot be written becomes a line on it.

    Raises:
        StorageFailed: in place of such an error.
    """
    try:
        yield
    except Exception as error:
        told = storage_failure(error, root)
        if told is None:
            raise
        raise StorageFailed(told) from error


def storage_failure(error: BaseException, root: Path) -> str | None:
    """One line on an error that says that `root` cannot be written, None for any other error.

    Args:
        error: which ended the runs; its causes and contexts are looked at too.
        root: holds the run directories.
    """
    seen: BaseException | None = error
    while seen is not None:
        reason = None
        if isinstance(seen, FilesChanged) and not root.is_dir():
            return f"{root}: was removed while its runs trained; nothing more is written there"
        if isinstance(seen, OSError) and _is_of_storage(seen, root):
            reason = seen.strerror
        elif isinstance(seen, sqlite3.OperationalError) and _is_of_sqlite(seen):
            reason = first_line(seen)
        if reason is not None:
            return (
                f"{root}: cannot be written any more ({reason}); what was recorded is kept, and the"
                " rest waits until it can be"
            )
        seen = seen.__cause__ or seen.__context__
    return None


def _is_of_storage(error: OSError, root: Path) -> bool:
    if error.errno in NO_MORE:
        return True
    kinds = OF_A_FILE if root.is_dir() else OF_A_FILE | REMOVED
    if error.errno not in kinds or not isinstance(error.filename, str | bytes | Path):
        return False
    name = error.filename.decode() if isinstance(error.filename, bytes) else error.filename
    return Path(name).absolute().is_relative_to(root.absolute())


def _is_of_sqlite(error: sqlite3.OperationalError) -> bool:
    # The lowest byte is the kind of an error. Those of Python's own module have no number.
    return getattr(error, "sqlite_errorcode", -1) & 0xFF in OF_SQLITE
