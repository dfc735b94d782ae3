"""Checks of a directory of runs before its files are replaced, truncated or appended to.

The directory may contain anything: a link that leads elsewhere, or a pipe in place of a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from cvtrain.process.errors import InputError
from cvtrain.process.regular_file import kind_of
from cvtrain.runs.directory_lock import LEASE_FILE, LOCK_FILE, OWNER_FILE
from cvtrain.runs.journal import SWEEP_FILE, TRACEBACK_FILE
from cvtrain.runs.metrics_csv import FILE_NAME as METRICS_FILE
from cvtrain.runs.run_json import CHECKPOINTS
from cvtrain.runs.run_json import FILE_NAME as RUN_FILE
from cvtrain.runs.safe_names import (
    AGGREGATE,
    FORMER_AGGREGATE,
    NAME_BEGINS,
    REPORT,
    is_circular_link,
    resolved,
)

FOLDERS = frozenset({CHECKPOINTS, REPORT, AGGREGATE, FORMER_AGGREGATE, ".hydra"})
FILES = frozenset(
    {
        *(RUN_FILE, SWEEP_FILE, METRICS_FILE, TRACEBACK_FILE, LOCK_FILE, OWNER_FILE, LEASE_FILE),
        *("multirun.yaml", "study.db"),
    }
)


def check_layout(directory: Path) -> None:
    """Check that every path in a directory of runs is of the kind that its name implies.

    Raises:
        InputError: a file's name belongs to a directory, a pipe or a device, or a folder's name to
            something else; a folder cannot be read; or a link leads out of the directory, to itself
            or to nothing.
    """
    root = resolved(directory)
    for entry in _entries(directory):
        path = Path(entry.path)
        is_link = entry.is_symlink()
        if is_link:
            _check_link(path, directory, root)
        kind = _kind(entry)
        if entry.name in FOLDERS and (kind != "a directory" or is_link):
            shown = "a link" if is_link else kind or "nothing that can be read"
            raise InputError(f"{path}: is {shown}, should be a directory")
        if kind is None and is_link:
            raise InputError(f"{path}: is a link to nothing, should be removed")
        if kind in ("a file", None) or (kind == "a directory" and not _has_name_of_file(path)):
            continue
        raise InputError(f"{path}: is {kind}, should be a file")


def _entries(directory: Path) -> Iterator[os.DirEntry[str]]:
    """Every entry below a directory; links are not followed.

    Raises:
        InputError: a folder cannot be read.
    """
    folders = [str(directory)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    yield entry
        except OSError as error:
            raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None


def _kind(entry: os.DirEntry[str]) -> str | None:
    """`kind_of` an entry, most often known from the listing of its folder."""
    if entry.is_dir(follow_symlinks=False):
        return "a directory"
    return "a file" if entry.is_file(follow_symlinks=False) else kind_of(Path(entry.path))


def _check_link(path: Path, directory: Path, root: Path) -> None:
    if is_circular_link(path):
        raise InputError(f"{path}: is a link to itself; nothing is written there")
    if not resolved(path).is_relative_to(root):
        raise InputError(f"{path}: is a link out of {directory}; nothing is written there")


def _has_name_of_file(path: Path) -> bool:
    of_checkpoint = path.parent.name == CHECKPOINTS and path.suffix == ".ckpt"
    of_report = path.parent.name == REPORT
    return path.name in FILES or path.name.startswith(NAME_BEGINS) or of_checkpoint or of_report
