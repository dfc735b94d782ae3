"""How a command ends: its exit status and, where something is wrong, a line."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from cvtrain.process.closed_output import closed_output_noticed, output_closed
from cvtrain.process.errors import InputError, Interrupted, RunFailed
from cvtrain.process.plain_text import say
from cvtrain.process.signals import interruption, signals_handled

FAILED, BAD_INPUT = 1, 2
STOPPED = "interrupted"
STOPPED_AND_KEPT = "interrupted; what was trained is kept"
"""What is said where a signal ended a command."""


def end_quietly_on_ctrl_c() -> None:
    """Let SIGINT end this process without a traceback, as SIGTERM does, while nothing is begun.

    For programs, to be called before their imports; `run_command` handles signals itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_command(name: str, command: Callable[[], int], interrupted: str = STOPPED) -> int:
    """Run a command to its exit status, whatever ends it.

    Args:
        name: begins the line that says what is wrong.
        command: returns the exit status where nothing is.
        interrupted: what is said where a signal ended it.

    Returns:
        that of `command`; 1 (`RunFailed`); 2 (`InputError`); 130 or 143 (SIGINT, SIGTERM, wherever
        they came); 141 (SIGPIPE: nobody reads the output any more).
    """
    with signals_handled(), closed_output_noticed():
        try:
            try:
                status = command()
                for output in filter(None, (sys.stdout, sys.stderr)):
                    output.flush()
                if status < 128:  # else it is told already
                    interruption.check()
            except BaseException as error:
                status = _status(name, error, interrupted)
        except Interrupted as error:  # once more
            status = error.exit_status
        return status


def end_process(name: str, command: Callable[[], int], interrupted: str = STOPPED) -> NoReturn:
    """End this process with what `run_command` returns."""
    end_quietly_on_ctrl_c()  # before and afterwards
    sys.exit(run_command(name, command, interrupted))


def _status(name: str, error: BaseException, interrupted: str) -> int:
    """What to exit with after an error; it is raised again if it is none that a command ends by."""
    number = signal_behind(error)
    if isinstance(error, RunFailed) or (isinstance(error, InputError) and number is None):
        say(f"{name}: {error}", sys.stderr)
    if number is not None:
        if number != signal.SIGPIPE:
            print(f"{name}: {interrupted}", file=sys.stderr)
        return Interrupted(number).exit_status
    if isinstance(error, RunFailed):
        return FAILED
    if isinstance(error, InputError):
        return BAD_INPUT
    raise error


def signal_behind(error: BaseException) -> int | None:
    """The signal that ended a command, whatever has become of it on the way: a library may turn an
    exception that is raised in the middle of it into one of its own."""
    if interruption.requested is not None:
        return interruption.requested
    if isinstance(error, Interrupted):
        return error.signal_number
    if isinstance(error, KeyboardInterrupt):
        return signal.SIGINT
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, BrokenPipeError):
        seen = seen.__cause__ or seen.__context__
    # It may be of another pipe, like that of a worker. Rich makes a SystemExit of one of its own.
    ours = seen is not None and (output_closed() or isinstance(error, SystemExit))
    return signal.SIGPIPE if ours else None
