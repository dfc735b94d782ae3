"""Data files of others: where they lie, and errors that name the one that is wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cvtrain.process.errors import first_line
from cvtrain.process.regular_file import kind_of


def folder(path: str, expected: str) -> Path:
    """The folder that a `path` names.

    Args:
        path: absolute, from the working directory, or with a ``~``.
        expected: how it must look and where the data are obtained, for the error.

    Raises:
        ValueError: there is none.
    """
    found = Path(path).expanduser()
    if not found.is_dir():
        kind = "is a file, not a folder" if found.exists() else "does not exist"
        raise ValueError(f"path={path} {kind}; {expected}")
    return found


def files_below(top: Path) -> list[Path]:
    """All files in a folder and its subfolders, in the order of their paths.

    Raises:
        ValueError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise ValueError(f"{error.filename}: {error.strerror}")

    walked = os.walk(top, onerror=refuse)
    return sorted(Path(parent) / name for parent, _, names in walked for name in names)


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """What goes wrong within is told as a ValueError that names the file.

    Readers of a format raise whatever they meet in a file that is not of it: a KeyError, a failed
    assertion, a MemoryError for a size that is made up.

    Raises:
        ValueError: anything went wrong, or there is a pipe or a device in the place of the file,
            for which a reader would wait.
    """
    kind = kind_of(file)
    if kind not in ("a file", "a directory", None):
        raise ValueError(f"{file}: is {kind}, should be a file")
    try:
        yield
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror or first_line(error)}") from None
    except KeyError as error:
        name = str(error.args[0])  # of what was asked for, or a sentence of h5py's
        reason = name if " " in name else f"it has no {name}"
        raise ValueError(f"{file}: {reason}") from None
    except Exception as error:
        reason = (
            first_line(error) or f"not of the format that it should be ({type(error).__name__})"
        )
        raise ValueError(f"{file}: {reason}") from None
