"""`python -m cvtrain tensorboard DIRECTORY`: TensorBoard on a sweep, on this machine alone."""

from __future__ import annotations

import argparse
import logging
import re
import signal
import threading
from collections.abc import Sequence
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from urllib.parse import quote

from cvtrain.process.errors import InputError
from cvtrain.process.exit_status import run_command
from cvtrain.process.plain_text import say
from cvtrain.process.regular_file import is_directory, is_file, kind_of
from cvtrain.report.boards import FOLDER
from cvtrain.runs.tensorboard.events import NAME_BEGINS

FEW = 40
"""TensorBoard hides all runs where there are more."""
NAME = "cvtrain tensorboard"
STOPPED = 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the directory that `arguments` name (the process's own, where None) until Ctrl-C.

    Returns:
        the exit status: 0 (ended by a signal), 2 (bad input), 141 (nobody reads the output).
    """
    return run_command(NAME, lambda: run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Serve a directory, as `main` does, but raise errors instead of printing them."""
    parser = argparse.ArgumentParser(
        prog="python -m cvtrain tensorboard",
        description="Start TensorBoard on a sweep or a run, for this machine alone (localhost), and"
        " print its address. Ctrl-C ends it.",
    )
    parser.add_argument("directory", type=Path, help="of a sweep, of one run, or of several")
    parser.add_argument("--port", type=int, help="else 6006 or the next free one; 0: a free one")
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    for line in serve(options.directory, options.port):
        say(line)
    stop.wait()
    return STOPPED


def serve(directory: Path, port: int | None) -> list[str]:
    """Start TensorBoard in threads of this process.

    Args:
        directory: whatever is below it is shown.
        port: None: the first free one from 6006 on.

    Returns:
        lines for the user: the address, and one that shows only aggregates where there are any.

    Raises:
        InputError: there is no event file in the directory, or the port is not free.
    """
    files = list(directory.rglob(f"{NAME_BEGINS}*")) if is_directory(directory) else []
    if not files:
        raise InputError(f"{directory}: no runs are here (no {NAME_BEGINS}* found)")
    for path in files:
        # TensorBoard would wait for a pipe, and show no other run meanwhile.
        if not is_file(path):
            kind = kind_of(path)
            reason = "cannot be read" if kind is None else f"is {kind}"
            raise InputError(f"{path}: {reason}, should be a file")
    runs = {path.parent for path in files}
    from tensorboard import default, program

    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    board = program.TensorBoard(default.get_plugins())
    chosen = [] if port is None else [f"--port={port}"]
    board.configure(argv=["", f"--logdir={directory.absolute()}", "--host=localhost", *chosen])
    try:
        with redirect_stderr(StringIO()):  # a note on its loader; what is wrong is raised
            address = board.launch()
    except program.TensorBoardServerException as error:
        raise InputError(f"{error.msg} (--port 0 takes a free one)") from None
    lines = [f"{len(runs)} runs: {address}"]
    if len(runs) > FEW and any(FOLDER in path.parts for path in runs):
        only = f"{address}?runFilter={quote(f'^(.*/)?{re.escape(FOLDER)}')}"
        lines.append(f"means and spreads over seeds, and learning-rate curves: {only}#timeseries")
        lines.append(f"TensorBoard hides runs where there are more than {FEW}: tick those to show")
    return lines
