"""`python -m cvtrain tensorboard DIRECTORY`: TensorBoard on a sweep, on this machine alone."""

from __future__ import annotations

import json
import logging
import re
import signal
import threading
from collections.abc import Sequence
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote, urlencode

from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

from cvtrain.cli.parser import CommandParser
from cvtrain.process.errors import InputError
from cvtrain.process.exit_status import run_command
from cvtrain.process.plain_text import say
from cvtrain.process.regular_file import is_directory, is_file, kind_of
from cvtrain.report.boards import OVER_OCTAVE
from cvtrain.report.served_runs import (
    ARM_OF_NAME,
    Runs,
    chosen_runs,
    event_files,
    link_runs,
    unrecorded_runs,
)
from cvtrain.runs.safe_names import NAME_BEGINS

NAME = "cvtrain tensorboard"
DESCRIPTION = """\
Start TensorBoard on a sweep or a run, for this machine alone (localhost), and print its address.
Ctrl-C ends it."""
LAST_PORT = 65535
STOPPED = 0
REFRESH_SECONDS = 10.0
"""Seconds between additions of runs that have started meanwhile."""
PINNED = re.compile(rf"{OVER_OCTAVE}[^/]*/.*/(val_loss|test_accuracy|test_nmse)")
"""Tags of the learning-rate curves that are shown first."""
MOST_PINNED = 8


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the directory that `arguments` name (None: the process's own) until Ctrl-C.

    Returns:
        the exit status: 0 (ended by a signal), 2 (bad input), 141 (nobody reads the output).
    """
    return run_command(NAME, lambda: run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Serve a directory, as `main` does, but raise errors instead of printing them."""
    parser = CommandParser("tensorboard", DESCRIPTION)
    parser.add_argument("directory", type=Path, help="of a sweep, of one run, or of several")
    parser.add_argument("--port", type=int, help="else 6006 or the next free one; 0: a free one")
    parser.add_argument(
        "--all",
        action="store_true",
        help="show every run; else, where there are many: the arms, the report, and the means over"
        " seeds at the best learning rates",
    )
    options = parser.parse_args(arguments)
    if options.port is not None and not 0 <= options.port <= LAST_PORT:
        raise InputError(f"--port={options.port}: should be from 0 to {LAST_PORT}")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    directory = options.directory
    runs, total = _runs(directory, options.all)
    with TemporaryDirectory(prefix="cvtrain_tensorboard_") as temporary:
        view = Path(temporary, directory.absolute().name)
        link_runs(runs, view)
        address = serve(view, options.port)
        shown = f"{total} runs" if len(runs) == total else f"{len(runs)} of {total} runs"
        say(f"{shown}: {address}{page(runs)}")
        unrecorded = unrecorded_runs(directory)
        if unrecorded:
            say(f"{unrecorded} runs have no event files (signals.tensorboard=false)")
        if len(runs) < total:
            say("arms, reports and means at the best learning rates; --all shows every run")
        while not stop.wait(REFRESH_SECONDS):
            link_runs(chosen_runs(directory, options.all)[0], view)
    return STOPPED


def _runs(directory: Path, everything: bool) -> tuple[Runs, int]:
    files = event_files(directory) if is_directory(directory) else []
    if not files:
        unrecorded = unrecorded_runs(directory) if is_directory(directory) else 0
        why = "; its runs were trained with signals.tensorboard=false" if unrecorded else ""
        raise InputError(f"{directory}: no runs are here (no {NAME_BEGINS}* found{why})")
    for path in files:
        # TensorBoard would block on a pipe, and show no other run.
        if not is_file(path):
            kind = kind_of(path)
            reason = "cannot be read" if kind is None else f"is {kind}"
            raise InputError(f"{path}: {reason}, should be a file")
    return chosen_runs(directory, everything)


def serve(view: Path, port: int | None) -> str:
    """Start TensorBoard in threads of this process.

    Args:
        view: directory whose runs are all shown.
        port: port; None: the first free one from 6006 on.

    Returns:
        the address.

    Raises:
        InputError: the port is not free.
    """
    from tensorboard import default, program

    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    board = program.TensorBoard(default.get_plugins())
    chosen = [] if port is None else [f"--port={port}"]
    board.configure(argv=["", f"--logdir={view}", "--host=localhost", *chosen])
    try:
        with redirect_stderr(StringIO()):  # a note on its loader; errors are raised
            address: str = board.launch()
    except program.TensorBoardServerException as error:
        raise InputError(f"{error.msg} (--port 0 takes a free one)") from None
    return address


def page(runs: Runs) -> str:
    """The part after the address that sets up the page: one colour for the runs of an arm, curves
    without smoothing, learning-rate curves on top."""
    tags = sorted({tag for folder in runs.values() for tag in _learning_rate_curves(folder)})
    settings = {"runColorGroup": f"regex:{ARM_OF_NAME}", "smoothing": "0"}
    if tags:
        cards = [{"plugin": "scalars", "tag": tag} for tag in tags[:MOST_PINNED]]
        settings["pinnedCards"] = json.dumps(cards, separators=(",", ":"))
    # SCALARS and CUSTOM SCALARS have separate settings, which they read after the hash.
    return f"?{urlencode(settings, quote_via=quote, safe='/:,*')}#timeseries&_smoothingWeight=0"


def _learning_rate_curves(folder: Path) -> set[str]:
    return {
        value.tag
        for path in folder.glob(f"{NAME_BEGINS}*")
        for event in LegacyEventFileLoader(str(path)).Load()
        for value in event.summary.value
        if PINNED.fullmatch(value.tag)
    }
