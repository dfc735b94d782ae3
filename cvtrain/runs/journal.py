"""The status of each run: all reads and writes of it go through `Journal`."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, get_args

from cvtrain.config.point import Point
from cvtrain.process.errors import FilesChanged, InputError, StorageUnavailable, failure_line
from cvtrain.process.user_code import user_traceback
from cvtrain.runs.files import remove_unfinished
from cvtrain.runs.json_file import read_json, write_json
from cvtrain.runs.run_json import (
    CHECKPOINTS,
    FILE_NAME,
    SCHEMA,
    Engine,
    RunRecord,
    Status,
    is_readable,
    last_value,
    read_record,
)
from cvtrain.runs.safe_names import is_plain
from cvtrain.runs.versions import package_versions, source_commit

SWEEP_FILE = "sweep.json"
TRACEBACK_FILE = "traceback.txt"
WHOLE = "\nFrom the start of the training on:\n\n"
"""Text between the two parts of a traceback file."""
MOST_POINTS = 10**9
"""Largest number of a point that is accepted in a sweep.json."""
NAME_SHOWN = 60
ENDED: tuple[Status, ...] = ("finished", "diverged", "pruned")
"""Statuses of runs that are not trained again. A diverged run is a result like any other."""
RESULT = "val/loss"
"""The signal of which every ended run has a last value."""


class Journal:
    """The statuses of the runs in one directory: of a sweep, or the parent of a single run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._began: dict[str, float] = {}
        self._seen: dict[str, int] = {}

    def describe_sweep(
        self,
        points: Sequence[Point],
        experiment: str | None,
        overrides: Sequence[str],
        command: Sequence[str] = (),
        others: Sequence[Mapping[str, Any]] = (),
        looks: Mapping[str, int] | None = None,
    ) -> None:
        """Write sweep.json, which lists the points of this sweep.

        Args:
            points: points that it trains.
            experiment: name of the file in conf/experiment.
            overrides: the experiment's axes, then those of the command line.
            command: overrides of the command line.
            others: entries of an earlier sweep.json that are kept.
            looks: number of reports that the sweep had had when a point was added, by id; the error
                of the answers depends on it. None: 0 for all points.
        """
        listed = [
            {
                "number": point.number,
                "id": point.id,
                "directory": point.directory,
                "overrides": list(point.overrides),
                "look": (looks or {}).get(point.id, 0),
            }
            for point in points
        ]
        content = {
            "schema": SCHEMA,
            "experiment": experiment,
            "overrides": list(overrides),
            "command": list(command),
            "created": _now(),
            "versions": package_versions(),
            "commit": source_commit(),
            "points": sorted((*others, *listed), key=lambda entry: int(entry["number"])),
        }
        write_json(self.root / SWEEP_FILE, content)

    def listed(self) -> list[dict[str, Any]]:
        """The entries of sweep.json; empty without such a file.

        Raises:
            InputError: the file is not valid.
        """
        return read_points(self.root) if (self.root / SWEEP_FILE).exists() else []

    def run_directory(self, point: Point) -> Path:
        """The directory in which the point's run keeps its files."""
        return self.root / point.directory

    def begin(
        self, point: Point, engine: Engine, stack_size: int, threads: int, spent: float = 0.0
    ) -> RunRecord:
        """Record that a run trains now, after `spent` seconds according to its checkpoint."""
        record = RunRecord(
            id=point.id,
            status="running",
            engine=engine,
            stack_size=stack_size,
            started=_now(),
            threads=threads,
            versions=package_versions(),
            config=point.config.as_dict(),
        )
        self._began[point.directory] = monotonic() - spent
        directory = self.run_directory(point)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / TRACEBACK_FILE).unlink(missing_ok=True)
        for written in (directory, directory / CHECKPOINTS):
            remove_unfinished(written)
        record.write(directory)
        return record

    def spent(self, point: Point) -> float:
        """Seconds for which a run has trained so far."""
        return round(monotonic() - self._began[point.directory], 3)

    def end(self, point: Point, record: RunRecord, status: Status) -> None:
        """Record how a run ended.

        Raises:
            FilesChanged: its directory was removed meanwhile, or holds another run.
        """
        if not self._has(point, record):
            directory = self.run_directory(point)
            raise FilesChanged(f"{directory}: was removed or replaced while the run trained")
        record.status = status
        record.wall_seconds = self.spent(point)
        record.write(self.run_directory(point))

    def fail(self, point: Point, record: RunRecord, error: Exception) -> None:
        """Record that a run failed: one line in run.json, and a file with the traceback, first from
        the user's own code on and then complete.

        A directory that was removed meanwhile is not made again.
        """
        record.error = failure_line(error)
        if not self._has(point, record):
            record.status = "failed"
            return
        own, trace = user_traceback(error), "".join(traceback.format_exception(error))
        if own != trace:
            trace = f"{own}{WHOLE}{trace}"
        (self.run_directory(point) / TRACEBACK_FILE).write_text(trace, encoding="utf-8")
        self.end(point, record, "failed")

    def failure(self, directory: str) -> tuple[str, str | None]:
        """The cause of a run's failure: the line in its run.json with the path of the traceback,
        and the traceback from the user's own code on, or None."""
        line, path = str((self.read(directory) or {}).get("error")), self.root / directory
        try:
            content = (path / TRACEBACK_FILE).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):  # a process that died wrote none
            return f"{line} ({path})", None
        return f"{line}; see {path / TRACEBACK_FILE}", content.partition(WHOLE)[0]

    def _has(self, point: Point, record: RunRecord) -> bool:
        """Whether a run's directory still exists and still holds this run."""
        if not self.run_directory(point).is_dir():
            return False
        content = self.read(point.directory)
        begun = record.id, record.started
        return content is None or (content.get("id"), content.get("started")) == begun

    def mark_failed(self, point: Point, error: str) -> None:
        """Record that a run failed because its process died."""
        content = self.read(point.directory)
        if content is not None and content.get("status") == "running":
            failed = content | {"status": "failed", "error": error}
            write_json(self.run_directory(point) / FILE_NAME, failed)

    def mark_interrupted(self, point: Point) -> None:
        """Record that a run with the status `running` was interrupted."""
        content = self.read(point.directory)
        if content is not None and content.get("status") == "running":
            write_json(self.run_directory(point) / FILE_NAME, content | {"status": "interrupted"})

    def mark_pruned(self, point: Point) -> None:
        """Record that a search gave up an interrupted run."""
        content = self.read(point.directory)
        if content is not None:
            write_json(self.run_directory(point) / FILE_NAME, content | {"status": "pruned"})

    def read(self, directory: str) -> dict[str, Any] | None:
        """A run's run.json, or None if there is none that can be read.

        Raises:
            StorageUnavailable: the file system fails, so it is unknown whether there is one.
        """
        try:
            content = read_json(self.root / directory / FILE_NAME)
        except StorageUnavailable:
            raise
        except InputError:
            return None
        return content if isinstance(content, dict) else None

    def ended(self, point: Point) -> dict[str, Any] | None:
        """The run.json of a run of this point that is not to be trained again, or None."""
        content = self.read(point.directory)
        if content is None or not is_readable(content.get("schema")):
            return None
        if content.get("id") != point.id:
            return None
        whole = content.get("status") in ENDED and last_value(content, RESULT) is not None
        return content if whole else None

    def changed(self, directory: str) -> bool:
        """Whether a run's run.json was written since the last call."""
        try:
            written = (self.root / directory / FILE_NAME).stat().st_mtime_ns
        except OSError:
            return False
        known, self._seen[directory] = self._seen.get(directory), written
        return known != written

    def status(self, directory: str) -> Status | None:
        """A run's status, or None if it has not begun."""
        status = (self.read(directory) or {}).get("status")
        return status if status in get_args(Status) else None

    def count(self, points: Sequence[Point]) -> Counter[Status | None]:
        """The number of points by status."""
        return Counter(self.status(point.directory) for point in points)


def read_points(directory: Path) -> list[dict[str, Any]]:
    """The entries of a sweep.json: `number`, `id`, `directory`, `overrides` and `look` of each
    point (`look` is 0 if an older version wrote none).

    Raises:
        InputError: the file is not a sweep.json of this version, or a name of a directory is not
            plain and could lead elsewhere.
    """
    path = directory / SWEEP_FILE
    points = read_record(path).get("points")
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        raise InputError(f"{path}: has no list of points")
    for point in points:
        number, id, name = (point.get(key) for key in ("number", "id", "directory"))
        if type(number) is not int or not 0 <= number < MOST_POINTS or not isinstance(id, str):
            raise InputError(f"{path}: a point has no number or no id")
        look = point.setdefault("look", 0)
        if type(look) is not int or not 0 <= look < MOST_POINTS:
            raise InputError(
                f"{path}: look={look!r:.{NAME_SHOWN}}: should be a whole number from 0 on"
            )
        if not isinstance(name, str) or not is_plain(name):
            raise InputError(f"{path}: {name!r:.{NAME_SHOWN}} is no name of a run directory")
    for key in ("directory", "number", "id"):
        counted = Counter(point[key] for point in points)
        for value in (value for value, count in counted.items() if count > 1):
            raise InputError(f"{path}: {value!r:.{NAME_SHOWN}} is the {key} of several points")
    return points


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
