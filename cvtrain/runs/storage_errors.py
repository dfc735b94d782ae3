"""Distinguish errors of the storage from other errors, since they have other consequences for a
sweep."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cvtrain.process.errors import (
    FilesChanged,
    InputError,
    StorageFailed,
    StorageUnavailable,
    first_line,
    os_error_line,
)
from cvtrain.process.lifetime import scratch_directory
from cvtrain.process.regular_file import is_directory

NO_MORE = frozenset(
    {
        # The disk is full, read-only or broken.
        *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG, errno.ENXIO),
        *(errno.ENODEV, errno.EUCLEAN, errno.EBADMSG),
        # A server does not answer, is gone, or no longer knows the file.
        *(errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EREMOTEIO, errno.EHOSTDOWN),
        *(errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ESHUTDOWN, errno.ENOLCK),
        *(errno.ECOMM, errno.EPROTO, errno.ENOKEY, errno.EKEYEXPIRED, errno.EKEYREJECTED),
    }
)
"""Errors of a file system, local or in a network."""

OF_A_FILE = frozenset({errno.EACCES, errno.EPERM})
"""Errors of a single file; they are storage errors if the file belongs to the sweep."""

REMOVED = frozenset({errno.ENOENT, errno.ENOTDIR})
"""Errors that are storage errors if the whole storage is gone; otherwise they concern one run."""

SHARED_MEMORY = Path("/dev/shm")
OF_SHARED_MEMORY = ("multiprocessing.synchronize", "multiprocessing.shared_memory")
"""Modules whose errors are errors of shared memory and name no file."""

OF_SQLITE = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
)
"""Messages of storage errors in SQLite, which holds a search's study."""


def is_unavailable(error: OSError) -> bool:
    """Whether an error means that a file system failed, rather than a file."""
    return error.errno in NO_MORE


@contextmanager
def translate_storage_errors(root: Path) -> Iterator[None]:
    """Context in which an error that means that `root` cannot be written becomes one line.

    Raises:
        StorageFailed: instead of such an error.
    """
    try:
        yield
    except StorageUnavailable as error:
        raise StorageFailed(storage_failure(error, root) or str(error)) from error
    except InputError:  # its message is complete, whatever caused it
        raise
    except Exception as error:
        line = storage_failure(error, root)
        if line is None:
            raise
        raise StorageFailed(line) from error


def storage_failure(error: BaseException, root: Path) -> str | None:
    """One line on an error that means that `root` cannot be written; None for any other error.

    Args:
        error: exception that ended the runs; its causes and contexts are examined too.
        root: folder of the run directories.
    """
    seen: BaseException | None = error
    while seen is not None:
        reason = None
        if isinstance(seen, FilesChanged) and not is_directory(root):
            return f"{root}: was removed while its runs trained; nothing more is written there"
        if isinstance(seen, OSError | RuntimeError) and _is_of_shared_memory(seen):
            return (
                f"{SHARED_MEMORY}: shared memory cannot be used ({first_line(seen)}); processes"
                " that work side by side need it: hydra.launcher.workers=1, trainer.devices=1 and"
                " data.workers=0 do without"
            )
        if isinstance(seen, OSError) and _is_of_temporary_files(seen, root):
            return (
                f"{tempfile.gettempdir()}: temporary files cannot be written ({seen.strerror});"
                " TMPDIR=… before the command chooses another folder"
            )
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
    path = _path_of(error)
    if path is None:  # an error in an open file does not name it
        return error.errno in NO_MORE
    kinds = NO_MORE | OF_A_FILE if is_directory(root) else NO_MORE | OF_A_FILE | REMOVED
    return error.errno in kinds and path.is_relative_to(root.absolute())


def _is_of_temporary_files(error: OSError, root: Path) -> bool:
    path, folder = _path_of(error), Path(tempfile.gettempdir()).absolute()
    if path is None or path.is_relative_to(root.absolute()) or not path.is_relative_to(folder):
        return False
    return error.errno in NO_MORE | OF_A_FILE | REMOVED


def _is_of_shared_memory(error: OSError | RuntimeError) -> bool:
    if isinstance(error, OSError):
        path = _path_of(error)
        named = path is not None and path.is_relative_to(SHARED_MEMORY)
        return named or (path is None and not _modules(error).isdisjoint(OF_SHARED_MEMORY))
    return "shared memory" in str(error)  # torch's own message


def _modules(error: BaseException) -> set[str]:
    """The names of the modules through which an error was raised."""
    return {
        str(frame.f_globals.get("__name__", ""))
        for frame, _ in traceback.walk_tb(error.__traceback__)
    }


def _path_of(error: OSError) -> Path | None:
    if not isinstance(error.filename, str | bytes | Path):
        return None
    return Path(os.fsdecode(error.filename)).absolute()


def _is_of_sqlite(error: sqlite3.OperationalError) -> bool:
    # The lowest byte is the kind of an error. Errors of Python's own module have no number.
    return getattr(error, "sqlite_errorcode", -1) & 0xFF in OF_SQLITE


@contextmanager
def trial_directory() -> Iterator[Path]:
    """Context with a temporary directory for a trial training.

    Raises:
        StorageFailed: the directory cannot be made or written.
    """
    try:
        with scratch_directory() as folder:
            try:
                yield folder
            except StorageFailed as error:  # its message would promise that records are kept
                raise _without_temporary_files(error.__cause__) from error
    except OSError as error:
        raise _without_temporary_files(error) from error


def _without_temporary_files(error: BaseException | None) -> StorageFailed:
    reason = os_error_line(error) if isinstance(error, OSError) else str(error)
    return StorageFailed(
        f"temporary files cannot be written ({reason}); TMPDIR=… names a directory that has room"
    )
