"""A directory for what is only tried, and a line where the machine has no place for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cvtrain.process.errors import StorageFailed, os_error_line
from cvtrain.process.lifetime import scratch_directory


@contextmanager
def trial_directory() -> Iterator[Path]:
    """A temporary directory for a training that is thrown away.

    Raises:
        StorageFailed: it cannot be made or written.
    """
    try:
        with scratch_directory() as folder:
            try:
                yield folder
            except StorageFailed as error:  # told as one of a directory that is kept
                raise _failed(error.__cause__) from error
    except OSError as error:
        raise _failed(error) from error


def _failed(error: BaseException | None) -> StorageFailed:
    reason = os_error_line(error) if isinstance(error, OSError) else str(error)
    return StorageFailed(
        f"temporary files cannot be written ({reason}); TMPDIR=… names a directory that has room"
    )
