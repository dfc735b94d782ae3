"""How a command ends: its exit status and, if something is wrong, one line on it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import NoReturn

from cvtrain.process.errors import InputError, Interrupted, RunFailed
from cvtrain.process.plain_text import say
from cvtrain.process.signals import (
    interruption,
    output_closed,
    output_watched,
    signals_handled,
)
from cvtrain.process.user_code import error_chain, user_traceback

FAILED, BAD_INPUT = 1, 2
FULL_ERROR = "HYDRA_FULL_ERROR"
"""Environment variable of Hydra with which an error is shown with its whole traceback."""
STOPPED = "interrupted"
STOPPED_AND_KEPT = "interrupted; what was trained is kept"
"""Message of a command that a signal ended."""


def end_quietly_on_ctrl_c() -> None:
    """Let SIGINT end this process without a traceback before work has begun, as SIGTERM does.

    Programs call it before their imports; `run_command` handles signals itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_command(name: str, command: Callable[[], int], interrupted: str = STOPPED) -> int:
    """Run a command and return its exit status, however it ends.

    Args:
        name: name at the beginning of the line on an error.
        command: function that returns its exit status if nothing is wrong.
        interrupted: message if a signal ends the command.

    Returns:
        the status that `command` returned; 1 after `RunFailed`; 2 after `InputError`; 130 or 143
        after SIGINT or SIGTERM at any moment; 141 after SIGPIPE (nobody reads the output).
    """
    escape_what_cannot_be_encoded()
    with signals_handled(), output_watched():
        try:
            try:
                status = command()
                for output in filter(None, (sys.stdout, sys.stderr)):
                    output.flush()
                if status < 128:  # otherwise the command has reported the signal
                    interruption.check()
            except BaseException as error:
                status = _status(name, error, interrupted)
        except Interrupted as error:  # a second signal
            status = error.exit_status
        return status


def end_process(name: str, command: Callable[[], int], interrupted: str = STOPPED) -> NoReturn:
    """End this process with the result of `run_command`."""
    end_quietly_on_ctrl_c()  # a signal before or after the command
    sys.exit(run_command(name, command, interrupted))


def escape_what_cannot_be_encoded() -> None:
    """Let stdout and stderr write characters that their encoding lacks as escapes such as
    ``\\u2202``, where Python would raise a UnicodeEncodeError.

    In the locales C and POSIX stdout has the error handler ``surrogateescape``, for bytes of file
    names, which raises it too.
    """
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, TextIOWrapper) and output.errors in ("strict", "surrogateescape"):
            output.reconfigure(errors="backslashreplace")


def _status(name: str, error: BaseException, interrupted: str) -> int:
    """The exit status after an error; an error that is a fault of the program is raised again."""
    number = signal_behind(error)
    if isinstance(error, RunFailed) or (isinstance(error, InputError) and number is None):
        if os.environ.get(FULL_ERROR) == "1":
            recorded = error.traceback if isinstance(error, RunFailed) else None
            say(recorded or user_traceback(error), sys.stderr)
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
    """The number of the signal that caused an error, or None.

    The error itself may not show it, since a library may turn an exception raised within it into
    its own.
    """
    if interruption.requested is not None:
        return interruption.requested
    if isinstance(error, Interrupted):
        return error.signal_number
    if isinstance(error, KeyboardInterrupt):
        return signal.SIGINT
    broken = any(isinstance(link, BrokenPipeError) for link in error_chain(error))
    # It may be another pipe, e.g. of a worker. Rich turns its own broken pipe into a SystemExit.
    is_output = broken and (output_closed() or isinstance(error, SystemExit))
    return signal.SIGPIPE if is_output else None
