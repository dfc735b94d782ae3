"""What lies in a directory of runs where files are written: anybody may have put it there."""

from __future__ import annotations

import os
from pathlib import Path

from cvtrain.process.errors import InputError
from cvtrain.process.regular_file import kind_of
from cvtrain.runs.directory_lock import LOCK_FILE, OWNER_FILE
from cvtrain.runs.journal import SWEEP_FILE, TRACEBACK_FILE
from cvtrain.runs.lease import LEASE_FILE
from cvtrain.runs.links import refuse_links_that_leave
from cvtrain.runs.metrics_csv import FILE_NAME as METRICS_FILE
from cvtrain.runs.run_json import CHECKPOINTS
from cvtrain.runs.run_json import FILE_NAME as RUN_FILE
from cvtrain.runs.tensorboard.events import NAME_BEGINS

REPORT, AGGREGATE = "report", "+aggregate"
FOLDERS = frozenset({CHECKPOINTS, REPORT, AGGREGATE, ".hydra"})
FILES = frozenset(
    {
        *(RUN_FILE, SWEEP_FILE, METRICS_FILE, TRACEBACK_FILE, LOCK_FILE, OWNER_FILE, LEASE_FILE),
        *("multirun.yaml", "study.db"),
    }
)


def check_places(directory: Path) -> None:
    """Look through a directory of runs before files in it are replaced, cut off or appended to.

    Raises:
        InputError: what has the name of a file is a directory, a pipe or a device, what has that of
            a folder is none, a folder cannot be read, or a link leads out of the directory, to
            itself or to nothing.
    """
    refuse_links_that_leave(directory)
    for folder, folders, files in os.walk(directory, onerror=_refuse):
        for name in (*folders, *files):
            path = Path(folder, name)
            kind = kind_of(path)
            if name in FOLDERS and (kind != "a directory" or path.is_symlink()):
                raise InputError(f"{path}: is {_told(path, kind)}, should be a directory")
            if kind is None and path.is_symlink():
                raise InputError(f"{path}: is a link to nothing, should be removed")
            if kind in ("a file", None) or (kind == "a directory" and not _has_name_of_file(path)):
                continue
            raise InputError(f"{path}: is {kind}, should be a file")


def _has_name_of_file(path: Path) -> bool:
    of_checkpoint = path.parent.name == CHECKPOINTS and path.suffix == ".ckpt"
    of_report = path.parent.name == REPORT
    return path.name in FILES or path.name.startswith(NAME_BEGINS) or of_checkpoint or of_report


def _told(path: Path, kind: str | None) -> str:
    return "a link" if path.is_symlink() else kind or "nothing that can be read"


def _refuse(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be read: {error.strerror}")
