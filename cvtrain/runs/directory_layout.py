"""Checks of a directory of runs before its files are replaced, truncated or appended to.

The directory may contain anything: a link that leads elsewhere, or a pipe in place of a file.
"""

from __future__ import annotations

import os
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
    refuse_outward_links(directory)
    for folder, folders, files in os.walk(directory, onerror=_refuse):
        for name in (*folders, *files):
            path = Path(folder, name)
            kind = kind_of(path)
            if name in FOLDERS and (kind != "a directory" or path.is_symlink()):
                shown = "a link" if path.is_symlink() else kind or "nothing that can be read"
                raise InputError(f"{path}: is {shown}, should be a directory")
            if kind is None and path.is_symlink():
                raise InputError(f"{path}: is a link to nothing, should be removed")
            if kind in ("a file", None) or (kind == "a directory" and not _has_name_of_file(path)):
                continue
            raise InputError(f"{path}: is {kind}, should be a file")


def refuse_outward_links(directory: Path) -> None:
    """Check that links in a directory stay within it.

    Raises:
        InputError: a symbolic link leads out of the directory, or to itself.
    """
    root = resolved(directory)
    for folder, folders, files in os.walk(root):
        for path in (Path(folder, name) for name in (*folders, *files)):
            if not path.is_symlink():
                continue
            if is_circular_link(path):
                raise InputError(f"{path}: is a link to itself; nothing is written there")
            if not resolved(path).is_relative_to(root):
                raise InputError(f"{path}: is a link out of {directory}; nothing is written there")


def _has_name_of_file(path: Path) -> bool:
    of_checkpoint = path.parent.name == CHECKPOINTS and path.suffix == ".ckpt"
    of_report = path.parent.name == REPORT
    return path.name in FILES or path.name.startswith(NAME_BEGINS) or of_checkpoint or of_report


def _refuse(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be read: {error.strerror}")
