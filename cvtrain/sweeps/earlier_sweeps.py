"""Sweeps on disk: the one that was started last, and the directories of its runs."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cvtrain.process.errors import InputError
from cvtrain.process.regular_file import is_directory, kind_of
from cvtrain.runs.journal import SWEEP_FILE, read_points
from cvtrain.runs.run_json import read_record


def latest_sweep(output: Path) -> Path | None:
    """The directory of the sweep that was started last, or None.

    A sweep whose sweep.json cannot be read, or has no starting time, is skipped with a line on
    stderr.

    Args:
        output: folder of sweeps, each of which is in the folder of its experiment.
    """
    begun = []
    sweep_files = output.glob(f"*/*/{SWEEP_FILE}") if is_directory(output) else ()
    for path in sorted(sweep_files):
        try:
            begun.append((_begun_at(path), path.parent))
        except InputError as error:
            print(f"cvtrain: a sweep is passed over: {error}", file=sys.stderr)
    return max(begun)[1] if begun else None


def placed_points(directory: Path) -> list[dict[str, Any]]:
    """The entries of a sweep.json, after a check that each run directory is a directory or missing.

    Raises:
        InputError: the file is not valid, or something else is in the place of a directory.
    """
    points = read_points(directory)
    for path in (directory / point["directory"] for point in points):
        kind = kind_of(path)
        if kind not in ("a directory", None):
            raise InputError(f"{path}: is {kind}, should be the directory of a run")
    return points


def _begun_at(path: Path) -> datetime:
    """The starting time of a sweep, from its sweep.json.

    Raises:
        InputError: the file is not valid, or has no starting time.
    """
    created = read_record(path).get("created")
    try:
        begun = datetime.fromisoformat(str(created))
    except ValueError:
        raise InputError(f"{path}: created={created!r:.60}: should be a date and a time") from None
    return begun if begun.tzinfo else begun.replace(tzinfo=UTC)
