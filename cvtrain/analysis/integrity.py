"""Damaged files of ended runs, after a full disk, an incomplete copy or a crash of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cvtrain.analysis.load import Sweep
from cvtrain.process.regular_file import kind_of
from cvtrain.runs.journal import ENDED
from cvtrain.runs.metrics_csv import FILE_NAME, last_step
from cvtrain.runs.safe_names import NAME_BEGINS
from cvtrain.runs.tensorboard.events import ends_with_a_record

NAMED = 5


def notes_on_damage(sweep: Sweep) -> list[str]:
    """Report which metrics.csv and event files of ended runs are cut short, one line per kind of
    file.

    The last values of a run are in its run.json and stay valid.
    """
    ended = sweep.runs[sweep.runs["status"].isin(ENDED)]
    damaged: dict[str, list[str]] = {FILE_NAME: [], "the event file": []}
    for row in ended.to_dict("records"):
        directory = sweep.directory / row["directory"]
        for kind in _damaged(directory, int(row["steps"]), row["status"] == "finished"):
            damaged[kind].append(str(row["directory"]))
    return [
        f"{kind} of {len(names)} of {len(ended)} ended runs is cut short: curves end early, last"
        f" values are complete: {_listed(names)}"
        for kind, names in damaged.items()
        if names
    ]


def _listed(names: list[str]) -> str:
    return ", ".join((*names[:NAMED], *(["…"] if len(names) > NAMED else [])))


def _damaged(directory: Path, steps: int, finished: bool) -> Iterator[str]:
    if kind_of(directory / FILE_NAME) is not None:
        step = last_step(directory)
        if step is None or (finished and step < steps):
            yield FILE_NAME
    # Not by glob, which takes as long as reading a thousand runs.
    files = (path for path in directory.iterdir() if path.name.startswith(NAME_BEGINS))
    if not all(map(ends_with_a_record, files)):
        yield "the event file"
