"""`python -m cvtrain.report DIRECTORY …`: say again, or for the first time, what runs came to."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cvtrain.errors import InputError, RunFailed
from cvtrain.report.analysis import publish, publish_together

HELD, BROKEN, BAD_INPUT = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Report on the directories that `arguments` name (the process's own, where None).

    Returns:
        the exit status: 0, 1 (what an experiment claims does not hold), 2 (bad input).
    """
    parser = argparse.ArgumentParser(
        prog="python -m cvtrain.report",
        description="Print what the runs of a sweep came to, finished or not, and write it into"
        " its folder report/: a page, tables and figures. Of several sweeps: one page on all, and"
        " of two also what changed from the first to the second.",
    )
    parser.add_argument(
        "directories", nargs="+", type=Path, metavar="DIRECTORY", help="of a sweep, or of one run"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        help="of the page on several sweeps (else: report/ beside them)",
    )
    given = parser.parse_args(arguments)
    try:
        if len(given.directories) == 1:
            publish(given.directories[0])
        else:
            publish_together(given.directories, given.folder)
    except RunFailed as error:
        print(f"cvtrain.report: {error}", file=sys.stderr)
        return BROKEN
    except InputError as error:
        print(f"cvtrain.report: {error}", file=sys.stderr)
        return BAD_INPUT
    return HELD


if __name__ == "__main__":
    sys.exit(main())
