"""Make, print and write reports: on learning rates, or the report of the runs' experiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from cvtrain.analysis.best_lr import scored_runs
from cvtrain.analysis.integrity import notes_on_damage
from cvtrain.analysis.load import Sweep, load
from cvtrain.data.idx_download import downloads_refused
from cvtrain.experiments.registry import experiment
from cvtrain.process.errors import InputError, RunFailed
from cvtrain.process.forkable import beside
from cvtrain.process.plain_text import cvtrain_command, say
from cvtrain.process.regular_file import is_directory
from cvtrain.process.signals import interruption
from cvtrain.report.document import Document, Section
from cvtrain.report.lr_sweep import report_retuning
from cvtrain.report.origin import origin
from cvtrain.runs.directory_layout import check_layout
from cvtrain.runs.next_commands import LAST_LINES, SCREENFUL, evaluation_command, say_commands
from cvtrain.runs.safe_names import from_here, resolved

NAMED_FAILURES = 10
"""Largest number of different errors of runs that are named."""
LOOKED_AT = 2
"""Number of sweeps, of several, for which a command to view them is printed."""

FORMER_NAMES = {"semantics": "split_vs_modulus", "interaction": "weight_decay"}
"""Values of `analysis` in run directories of schema 1, and experiments with the same report. (The
report on interactions reads from the runs which interaction it is.)"""


def report_on(sweep: Sweep) -> Document:
    """Make the report on `sweep` by the analysis that its runs name.

    Raises:
        InputError: the runs name different analyses, or lack what the analysis needs.
    """
    runs = sweep.runs
    named = set(runs["analysis"].dropna()) if "analysis" in runs else set()
    if len(named) > 1:
        listed = ", ".join(sorted(named))
        raise InputError(f"{sweep.directory}: its runs are of several experiments: {listed}")
    names = [FORMER_NAMES.get(name, name) for name in named]
    report = experiment(names[0]).report if names else None
    with downloads_refused():  # some analyses make the data of the runs again
        document = (report or report_retuning)(sweep)
    return replace(document, origin=origin(sweep), notes=(*document.notes, *_notes(sweep)))


def publish(directory: Path, tables: bool = False) -> Document:
    """Print the report on the runs in `directory`, and write its files into the folder report/.

    Args:
        directory: directory of a sweep or a run.
        tables: whether to print all tables, not only the answer.

    Raises:
        InputError: the directory has no run, or one that cannot be read.
        RunFailed: a claim of the experiment does not hold.
    """
    from cvtrain.report.boards import aggregate, write_boards
    from cvtrain.report.export import FOLDER, report_folder, write_report

    if is_directory(directory):
        check_layout(directory)
    sweep = load(directory)
    interruption.check()
    with beside(partial(aggregate, sweep)) as aggregated:
        document = report_on(sweep)
        boards = aggregated()  # before files are replaced: a damaged run ends the report here
    interruption.check()
    _print(document, tables, LAST_LINES)
    with report_folder(directory / FOLDER) as folder:
        say(f"report:   {from_here(write_report(document, folder))}")
        interruption.check()
        write_boards(boards, sweep, document, folder)
    shown = from_here(directory)
    commands = {
        "tables": cvtrain_command("report", shown, "--tables"),
        "look": cvtrain_command("tensorboard", shown),
    }
    best = _best_run(sweep)
    if document.next_command:
        commands["go on"] = document.next_command
    elif best is not None:
        commands["evaluate"] = best
    say_commands(commands)
    failure = document.failure()
    if failure is not None:
        raise RunFailed(failure)
    return document


def _print(document: Document, tables: bool, last: int) -> None:
    """Print a report, or its main part if it is longer than a screen with `last` lines after it."""
    from cvtrain.report.console import print_document, report_console
    from cvtrain.report.screenful import print_screenful

    if tables:
        print_document(document, report_console())
    else:
        print_screenful(document, report_console(), SCREENFUL - last)


def _best_run(sweep: Sweep) -> str | None:
    """The command that evaluates the run with the lowest validation loss; None without one."""
    runs = scored_runs(sweep)
    runs = runs[np.isfinite(runs["score"])]
    if not len(runs):
        return None
    best = runs.loc[runs["score"].idxmin()]
    trusted = best.get("trusted_modules")
    packages = trusted if isinstance(trusted, list | tuple) else ()
    return evaluation_command(sweep.directory / str(best["directory"]), packages)


def publish_together(
    directories: Sequence[Path],
    folder: Path | None = None,
    title: str | None = None,
    compare: bool = True,
    tables: bool = False,
    first: Callable[[Mapping[str, Document]], Section] | None = None,
) -> None:
    """Print the answers of several sweeps, and write one page on all of them.

    Args:
        directories: directories of the sweeps.
        folder: folder of the page; None: the folder report/ of the directory that they share.
        title: title of the page; None: made from the names of the sweeps.
        compare: whether the page on two sweeps reports what changed at the points that both have.
        tables: whether to print all tables of each sweep, and what changed.
        first: function that makes the first section from the reports on the sweeps, by the name of
            their directories.

    Raises:
        InputError: a directory has no run, or one that cannot be read, or is named twice.
        RunFailed: a claim of an experiment does not hold.
    """
    from cvtrain.report.combined import combined, common_directory, sweep_names
    from cvtrain.report.export import FOLDER, report_folder, write_report
    from cvtrain.report.sweep_diff import change_section

    if len(set(map(resolved, directories))) < len(directories):
        raise InputError("the same directory is named twice; each sweep is reported on once")
    names = sweep_names(directories)
    sweeps = [load(directory) for directory in directories]
    page_folder = folder or common_directory(directories) / FOLDER
    page_folder.mkdir(parents=True, exist_ok=True)  # a wrong one ends the command before the work
    documents = {}
    for name, sweep in zip(names, sweeps, strict=True):
        interruption.check()
        documents[name] = report_on(sweep)
    more = [] if first is None else [first(documents)]
    if compare and len(sweeps) == 2:
        more.append(change_section(sweeps[0], sweeps[1], (names[0], names[1])))
    default = " and ".join(names) if len(names) == 2 else f"{len(names)} sweeps"
    whole = combined(documents, title or default, more)
    for name, document in documents.items() if tables else ():
        say(f"{name}\n")
        _print(document, tables, 0)
        print()
    shown = [from_here(directory) for directory in directories]
    commands = [
        ("tables", cvtrain_command("report", *shown, "--tables")),
        *(("look", cvtrain_command("tensorboard", one)) for one in shown[:LOOKED_AT]),
    ]
    _print(replace(whole, sections=tuple(more)), tables, 1 + len(commands))
    with report_folder(page_folder) as place:
        say(f"report:   {from_here(write_report(whole, place))}")
    for purpose, command in commands:
        say_commands({purpose: command})
    failure = whole.failure()
    if failure is not None:
        raise RunFailed(failure)


def _notes(sweep: Sweep) -> list[str]:
    """Remarks on runs that are missing, failed or damaged."""
    counts = sweep.runs["status"].value_counts()
    total = len(sweep.runs)
    notes = [
        f"{counts[status]} of {total} runs {words}"
        for status, words in (
            ("missing", "have not begun"),
            ("running", "have not ended"),
            ("interrupted", "were interrupted"),
            ("pruned", "were pruned: the search stopped them early"),
            ("failed", "failed; each has its traceback.txt"),
        )
        if counts.get(status, 0)
    ]
    if counts.get("diverged", 0) == total:
        notes.append("every run diverged: try smaller learning rates (lr_octave, optimizer.lr)")
    by_error: dict[str, list[str]] = {}
    for row in sweep.runs[sweep.runs["status"] == "failed"].to_dict("records"):
        by_error.setdefault(str(row["error"]), []).append(str(row["directory"]))
    for error, names in [*by_error.items()][:NAMED_FAILURES]:
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        notes.append(f"failed: {names[0]}{others}: {error}")
    return notes + notes_on_damage(sweep)
