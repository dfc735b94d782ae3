"""Files that are there whole or not at all, whenever their writer is killed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

UNFINISHED = ".unfinished"


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a file beside `path`, then rename it: readers see the old or the new one.

    The directory is not made: one that was removed while its run trained stays away.
    """
    prefix = f".{path.name}."
    descriptor, temporary = tempfile.mkstemp(suffix=UNFINISHED, prefix=prefix, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    path.chmod(0o666 & ~_umask())


def remove_unfinished(directory: Path) -> None:
    """Remove what writers that were killed left in a directory that no one else writes into."""
    for path in directory.glob(f".*{UNFINISHED}"):
        path.unlink(missing_ok=True)


def _umask() -> int:
    # mkstemp makes files for the owner alone; run files should be as readable as any other.
    mask = os.umask(0)
    os.umask(mask)
    return mask
