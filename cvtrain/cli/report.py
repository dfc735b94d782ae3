"""`cvtrain report DIRECTORY …`: print and write the results of runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cvtrain.cli.parser import CommandParser
from cvtrain.process.errors import InputError
from cvtrain.process.exit_status import run_command
from cvtrain.process.forkable import become_forkable, begin_command

NAME = "cvtrain report"
DESCRIPTION = """\
Print what the runs of a sweep came to, finished or not, and write it into its folder report/: a
page, tables and figures. Of several sweeps: one page on all, and of two also what changed from the
first to the second."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Report on the directories that `arguments` name (None: the process's own).

    Returns:
        the exit status: 0, 1 (a claim of an experiment does not hold), 2 (bad input), 130, 143 or
            141 (ended by a signal, or since nobody reads the output).
    """
    return run_command(NAME, lambda: run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Report on directories, as `main` does, but raise errors instead of printing them."""
    begin_command()
    parser = CommandParser("report", DESCRIPTION)
    parser.add_argument(
        "directories", nargs="+", type=Path, metavar="DIRECTORY", help="of a sweep, or of one run"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        help="of the page on several sweeps (default: report/ next to them)",
    )
    parser.add_argument(
        "--tables", action="store_true", help="print all tables, not the answer alone"
    )
    options = parser.parse_args(arguments)
    if options.folder is not None and len(options.directories) == 1:
        raise InputError(
            f"--folder {options.folder}: should be left out for one sweep: its report is in its"
            " own folder report/"
        )
    # Not at the top: importing it takes a second, in which a signal may come.
    from cvtrain.experiments.publish import publish, publish_together

    become_forkable()
    try:
        if len(options.directories) == 1:
            publish(options.directories[0], options.tables)
        else:
            publish_together(options.directories, options.folder, tables=options.tables)
    except OSError as error:
        if isinstance(error, BrokenPipeError) or error.filename is None:
            raise
        raise InputError(f"{error.filename}: cannot be written: {error.strerror}") from error
    return 0
