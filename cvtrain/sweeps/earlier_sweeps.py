"""Sweeps that are on disk: which one was begun last, and where its runs are."""

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
    """The directory of the sweep that was begun last, or None.

    A sweep whose sweep.json cannot be read, or does not say when it was begun, is passed over with
    a line on stderr.

    Args:
        output: where sweeps go, each into the directory of its experiment.
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
    """The entries of a sweep.json, whose run directories are directories, or not there yet.

    Raises:
        InputError: it cannot be used, or there is something else in the place of one of them.
    """
    points = read_points(directory)
    for path in (directory / point["directory"] for point in points):
        kind = kind_of(path)
        if kind not in ("a directory", None):
            raise InputError(f"{path}: is {kind}, should be the directory of a run")
    return points


def _begun_at(path: Path) -> datetime:
    """When a sweep was begun, as its sweep.json has it.

    Raises:
        InputError: it cannot be used, or does not say.
    """
    created = read_record(path).get("created")
    try:
        begun = datetime.fromisoformat(str(created))
    except ValueError:
        raise InputError(f"{path}: created={created!r:.60}: should be a date and a time") from None
    return begun if begun.tzinfo else begun.replace(tzinfo=UTC)
