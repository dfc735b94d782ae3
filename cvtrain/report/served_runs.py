"""Choose the runs that TensorBoard shows for a directory, and their names.

TensorBoard hides all runs if there are more than 40, and cuts a name after some 30 characters. It
therefore serves a directory of links to a few runs, each with a name that says what distinguishes
it (`cvtrain.report.boards`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from cvtrain.analysis.arms import label_runs
from cvtrain.analysis.load import load
from cvtrain.process.errors import InputError
from cvtrain.process.regular_file import is_file, kind_of
from cvtrain.report.boards import BEST, board_name, run_name
from cvtrain.report.cells import rate_text
from cvtrain.runs.journal import SWEEP_FILE
from cvtrain.runs.run_json import FILE_NAME
from cvtrain.runs.safe_names import AGGREGATE, FORMER_AGGREGATE, NAME_BEGINS, REPORT

MOST = 39
"""Largest number of runs that TensorBoard shows without hiding any."""
ARM_OF_NAME = r"([^/]*)(?:/(?:best_)?lr=[^/]*)?(?:/seed=[^/]*)?$"
"""A regular expression whose group is the arm in a name that this module gives to a run."""

ARM, REPORTED, BEST_CELL, OTHER = range(4)
"""Kinds of runs, in the order in which they are chosen if there are too many."""

Runs = Mapping[str, Path]
"""Directories of event files by the names that TensorBoard shows."""


def event_files(directory: Path) -> list[Path]:
    """All event files below a directory."""
    return sorted(directory.rglob(f"{NAME_BEGINS}*"))


def unrecorded_runs(directory: Path) -> int:
    """Number of runs below a directory without event file (``signals.tensorboard=false``)."""
    folders = (path.parent for path in directory.rglob(FILE_NAME))
    return sum(not any(folder.glob(f"{NAME_BEGINS}*")) for folder in folders)


def chosen_runs(directory: Path, everything: bool = False) -> tuple[Runs, int]:
    """Choose the runs to show.

    All runs are chosen if they are few enough or if `everything` is set; otherwise the arms, the
    reports and the cells at the best learning rates. If a sweep has no report yet, the newest runs
    are chosen.

    Returns:
        the chosen runs, and the number of all runs.
    """
    folders = list(dict.fromkeys(path.parent for path in event_files(directory)))
    chosen = folders
    if len(folders) > MOST and not everything:
        kinds = {folder: _kind(folder.relative_to(directory)) for folder in folders}
        chosen = sorted((f for f in folders if kinds[f] != OTHER), key=kinds.__getitem__)[:MOST]
        if not chosen:
            chosen = sorted(folders, key=lambda folder: folder.stat().st_mtime_ns)[-MOST:]
    return _named(directory, chosen), len(folders)


def link_runs(runs: Runs, view: Path) -> None:
    """Make `view` a directory that holds links to the event files of the runs.

    Calling it again adds new links and removes those of runs that are not in `runs` any more.
    """
    wanted = {
        view / name / path.name: path
        for name, folder in runs.items()
        for path in folder.glob(f"{NAME_BEGINS}*")
        if is_file(path)  # TensorBoard would block on a pipe
    }
    for link in event_files(view):
        if link not in wanted:
            link.unlink()
    for link, path in wanted.items():
        if not link.is_symlink():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.absolute())


def _kind(path: Path) -> int:
    parts = path.parts
    if path.name == REPORT:
        return REPORTED
    folder = next((name for name in (AGGREGATE, FORMER_AGGREGATE) if name in parts), None)
    if folder is None:
        return OTHER
    depth = len(parts) - parts.index(folder) - 1
    if depth == 2:
        return ARM
    return BEST_CELL if path.name.startswith(BEST) else OTHER


def _named(directory: Path, folders: Sequence[Path]) -> Runs:
    names: dict[Path, str] = {}
    trained = (folder for folder in folders if _kind(folder.relative_to(directory)) == OTHER)
    for sweep in dict.fromkeys(folder.parent for folder in trained):
        if kind_of(sweep / SWEEP_FILE) is not None:
            names |= _names_of_trained_runs(sweep)
    shown = {}
    for folder in folders:
        path = folder.relative_to(directory)
        if folder in names:
            path = path.parent / names[folder]
        parts = [part for part in path.parts if part not in (AGGREGATE, FORMER_AGGREGATE)]
        shown["/".join(parts) or directory.absolute().name] = folder
    return shown


def _names_of_trained_runs(directory: Path) -> dict[Path, str]:
    """Names with group, arm, learning rate and seed for each readable run of a sweep."""
    try:
        sweep = load(directory)
        begun = sweep.runs[sweep.runs["status"] != "missing"]
        runs = label_runs(begun, sweep.config_keys) if len(begun) else begun
    except InputError:
        return {}
    names = {
        directory / str(row["directory"]): (
            f"{board_name(row['group'], row['arm'])}"
            f"/lr={run_name(rate_text(float(row['optimizer.lr'])))}/seed={row['seed']:.0f}"
        )
        for row in runs.to_dict("records")
    }
    counts = Counter(names.values())
    return {
        folder: name if counts[name] == 1 else f"{name},{re.split('[_,]', folder.name)[0]}"
        for folder, name in names.items()
    }
