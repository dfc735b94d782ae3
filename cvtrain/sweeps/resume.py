"""Resume a sweep: find it and its command, and determine what is left to train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cvtrain.config.overrides import as_override, parse_override, quoted
from cvtrain.config.point import Point
from cvtrain.process.errors import InputError
from cvtrain.process.plain_text import cvtrain_command
from cvtrain.process.regular_file import is_file, kind_of
from cvtrain.runs.directory_layout import check_layout
from cvtrain.runs.journal import ENDED, SWEEP_FILE, Journal
from cvtrain.runs.run_json import FILE_NAME as RUN_FILE
from cvtrain.runs.run_json import read_record
from cvtrain.runs.safe_names import resolved
from cvtrain.runs.versions import package_versions
from cvtrain.sweeps.earlier_sweeps import latest_sweep, placed_points
from cvtrain.sweeps.recorded_command import (
    TRUSTED,
    changes_no_number,
    is_of_logger,
    taken_command,
)

KEY = "resume"
LATEST = "latest"
OUTPUT = "outputs"
MORE_RUNS = ("seed", "data.seed")
"""Keys that replace axes of the recorded command, to add runs."""


@dataclass(frozen=True)
class Resumption:
    """The points of a command in the directory of an earlier sweep.

    Attributes:
        points: all points; existing ones have the names of their directories.
        waiting: points that have not ended.
        left_out: entries of sweep.json that the command does not have; they stay unchanged.
        looks: number of reports that existed when a point was added, by id of the point.
        notes: lines to print before training.
    """

    points: tuple[Point, ...]
    waiting: tuple[Point, ...]
    left_out: tuple[Mapping[str, Any], ...]
    looks: Mapping[str, int]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ResumedRun:
    """A single run to resume, with settings that its file cannot supply.

    Attributes:
        directory: directory of the run.
        trusted: packages of the user that its `_target_`s may name.
        logger: overrides that choose its logger.
    """

    directory: Path
    trusted: tuple[str, ...]
    logger: tuple[str, ...]


def resumed_command(overrides: Sequence[str]) -> list[str]:
    """The overrides that resume the sweep named by ``resume=``; a command without that key is
    returned unchanged.

    `resume` alone, or beside keys that change no number, repeats the recorded command of the sweep
    as far as it may be taken from a file; `resume` beside `seed` repeats it with other seeds. With
    other keys, these are the command.

    Raises:
        InputError: the sweep does not exist, or writing in its directory would leave that
            directory.
    """
    pairs = [(parse_override(text), text) for text in overrides]
    wanted = [parsed.value() for parsed, _ in pairs if parsed.key_or_group == KEY]
    if not wanted or wanted[-1] is None:
        return list(overrides)
    rest = [(parsed, text) for parsed, text in pairs if parsed.key_or_group != KEY]
    output = [parsed.value() for parsed, _ in rest if parsed.key_or_group == "output"]
    directory = find_sweep(str(wanted[-1]), Path(str(output[-1]) if output else OUTPUT))
    check_layout(directory)
    if "${" in str(directory):  # Hydra would replace it, e.g. by an environment variable
        raise InputError(f"{KEY}={directory}: a directory with ${{ in its name should be renamed")
    own = [text for _, text in rest]
    if repeats_recorded_command(overrides):
        replaced = {parsed.key_or_group for parsed, _ in rest}
        taken = taken_command(directory, own)
        own = [*(t for t in taken if parse_override(t).key_or_group not in replaced), *own]
    return [*own, f"{KEY}={quoted(str(directory))}", "hydra.mode=MULTIRUN"]


def repeats_recorded_command(overrides: Sequence[str]) -> bool:
    """Whether a command resumes a sweep by the command that the sweep's file records."""
    keys = [parse_override(text).key_or_group for text in overrides]
    return KEY in keys and all(key in (KEY, *MORE_RUNS) or changes_no_number(key) for key in keys)


def resumed_run(overrides: Sequence[str]) -> ResumedRun | None:
    """The single run that ``resume=`` names, or None if it names something else.

    Raises:
        InputError: other keys are set beside it, the run belongs to a sweep, or writing in its
            directory would leave that directory.
    """
    by_key = {parsed.key_or_group: parsed for parsed in map(parse_override, overrides)}
    if KEY not in by_key:
        return None
    directory = Path(str(by_key.pop(KEY).value()))
    if not is_file(directory / RUN_FILE) or kind_of(directory / SWEEP_FILE) is not None:
        return None
    sweep = resolved(directory).parent
    if is_file(sweep / SWEEP_FILE):
        raise InputError(f"{KEY}={directory}: is one run of a sweep; {KEY}={sweep} resumes it")
    check_layout(directory)
    trusted = by_key.pop(TRUSTED).value() if TRUSTED in by_key else []
    if not isinstance(trusted, list):
        raise InputError(f"{TRUSTED}={trusted}: should be a list, such as [{trusted}]")
    logger = tuple(
        str(override.input_line) for key, override in by_key.items() if is_of_logger(key)
    )
    for key in by_key:
        if not is_of_logger(key):
            raise InputError(
                f"{KEY}={directory}: a resumed run keeps its configuration; leave out {key}"
            )
    return ResumedRun(resolved(directory), tuple(map(str, trusted)), logger)


def find_sweep(named: str, output: Path) -> Path:
    """The absolute path of a sweep's directory.

    Args:
        named: a path, or ``latest`` for the sweep below `output` that was started last.
        output: folder of sweeps.

    Raises:
        InputError: the sweep does not exist.
    """
    if named != LATEST:
        directory = Path(named)
        if not is_file(directory / SWEEP_FILE):
            raise InputError(
                f"{KEY}={named}: should be the directory of a sweep or run; it has no {SWEEP_FILE}"
            )
        return resolved(directory)
    latest = latest_sweep(output)
    if latest is None:
        raise InputError(f"{KEY}={LATEST}: no sweep is below {output} (output=… looks elsewhere)")
    return resolved(latest)


def known_points(directory: Path) -> dict[str, tuple[int, str]]:
    """Number and directory of every point of a sweep, by id.

    Raises:
        InputError: its sweep.json is not valid.
    """
    points = placed_points(directory)
    return {entry["id"]: (entry["number"], entry["directory"]) for entry in points}


def resumption(journal: Journal, points: Sequence[Point]) -> Resumption:
    """Match a command's points with those of the sweep in `journal.root`.

    Raises:
        InputError: no point is common to both, or sweep.json is not valid.
    """
    listed = {entry["id"]: entry for entry in placed_points(journal.root)}
    wanted = {point.id for point in points}
    if not wanted & listed.keys():
        raise InputError(
            f"{KEY}={journal.root}: none of its {len(listed)} points is requested; {KEY} without"
            " other keys repeats the command that started the sweep"
        )
    merged = tuple(_placed(points, listed))
    waiting = tuple(point for point in merged if journal.ended(point) is None)
    left_out = tuple(entry for id, entry in listed.items() if id not in wanted)
    new = [point.directory for point in merged if point.id not in listed]
    # If nothing has ended, nothing was reported.
    following = max(entry["look"] for entry in listed.values()) + (len(waiting) < len(merged))
    looks = {id: listed[id]["look"] if id in listed else following for id in wanted}
    notes = [f"{len(merged) - len(waiting)} of {len(merged)} runs have ended already"]
    begun_again = [point.directory for point in waiting if not _is_known(journal, point)]
    if begun_again:
        notes.append(
            f"{len(begun_again)} runs begin again, their {RUN_FILE} cannot be used:"
            f" {_listed(begun_again)}"
        )
    if new:
        notes.append(f"{len(new)} points are new: {_listed(new)}")
    if left_out:
        names = [entry["directory"] for entry in left_out]
        notes.append(
            f"{len(names)} points are not asked for and stay as they are: {_listed(names)}"
        )
    changed = _changed_versions(journal.root)
    if changed:
        notes.append(f"made by other versions, so numbers may differ: {', '.join(changed)}")
    return Resumption(merged, waiting, left_out, looks, tuple(notes))


def _is_known(journal: Journal, point: Point) -> bool:
    """Whether the run of a waiting point has not begun, or belongs to this point and has not
    ended."""
    if kind_of(journal.run_directory(point) / RUN_FILE) is None:
        return True
    content, status = journal.read(point.directory), journal.status(point.directory)
    known = content is not None and content.get("id") == point.id
    return known and status is not None and status not in ENDED


def _placed(points: Sequence[Point], listed: Mapping[str, Mapping[str, Any]]) -> Iterator[Point]:
    """The points with their existing numbers and directories, followed by new ones."""
    following = 1 + max(entry["number"] for entry in listed.values())
    width = len(str(following + len(points)))
    for point in points:
        entry = listed.get(point.id)
        if entry is None:
            values = point.directory.partition("_")[2]
            name = f"{following:0{width}d}_{values}".rstrip("_")
            yield replace(point, number=following, directory=name)
            following += 1
        else:
            yield replace(point, number=entry["number"], directory=entry["directory"])


def _changed_versions(directory: Path) -> list[str]:
    before, now = read_record(directory / SWEEP_FILE).get("versions"), package_versions()
    if not isinstance(before, dict):
        return []
    return [
        f"{name} {before[name]} → {version}"
        for name, version in now.items()
        if before.get(name) not in (None, version)
    ]


def _listed(names: Sequence[str], shown: int = 3) -> str:
    return ", ".join((*names[:shown], *(["…"] if len(names) > shown else [])))


def how_to_go_on(directory: Path, again: Sequence[str] = (), flags: Sequence[str] = ()) -> str:
    """The line with the command that resumes a sweep or a run.

    Args:
        directory: directory of the sweep or run.
        again: overrides to type beside ``resume=``.
        flags: flags that chose configuration files.
    """
    command = cvtrain_command(*flags, as_override(KEY, str(directory)), *again)
    return f"cvtrain: to continue: {command}"
