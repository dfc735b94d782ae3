"""Folders and files of published data sets, with errors that name the wrong file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cvtrain.process.errors import first_line
from cvtrain.process.regular_file import kind_of


def data_folder(path: str, expected: str) -> Path:
    """Resolve the `path` of a data set to its folder.

    Args:
        path: absolute, relative to the working directory, or with a ``~``.
        expected: what the folder should hold and where to get the data, for the error message.

    Raises:
        ValueError: the folder does not exist.
    """
    directory = Path(path).expanduser()
    if not directory.is_dir():
        problem = "is a file, not a folder" if directory.exists() else "does not exist"
        raise ValueError(f"path={path}: {problem}; {expected}")
    return directory


def files_below(top: Path) -> list[Path]:
    """All files in a folder and its subfolders, sorted by path.

    Raises:
        ValueError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise ValueError(f"{error.filename}: {error.strerror}")

    walked = os.walk(top, onerror=refuse)
    return sorted(Path(parent) / name for parent, _, names in walked for name in names)


def check_size(file: Path, wanted: int) -> None:
    """Raise ValueError if a file has fewer bytes than its header states."""
    size = file.stat().st_size
    if size < wanted:
        raise ValueError(f"it is cut short: {size} bytes, its header states {wanted}")


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Context that turns every exception into a ValueError of one line that names the file.

    Readers raise many kinds of exceptions for a file of another format: a KeyError, a failed
    assertion, a MemoryError for an absurd size.

    Raises:
        ValueError: the block raised, or `file` is a pipe or a device, on which a reader would
            block.
    """
    kind = kind_of(file)
    if kind not in ("a file", "a directory", None):
        raise ValueError(f"{file}: is {kind}, should be a file")
    try:
        yield
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror or first_line(error)}") from None
    except KeyError as error:
        name = str(error.args[0])  # the missing key, or a sentence of h5py
        reason = name if " " in name else f"it has no {name}"
        raise ValueError(f"{file}: {reason}") from None
    except Exception as error:
        reason = (
            first_line(error) or f"not of the format that it should be ({type(error).__name__})"
        )
        raise ValueError(f"{file}: {reason}") from None
