"""Errors, by what the user can do about them."""

from __future__ import annotations

import errno
import os

from cvtrain.process.user_code import error_chain, user_place

MACHINE_ERRNOS = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG),
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN),
        *(errno.ESTALE, errno.ETIMEDOUT, errno.ENOLCK),
    }
)
"""Numbers of errors of a disk, a network file system or the kernel; others may concern one file."""

MACHINE_MESSAGES = (
    "can't start new thread",
    "DataLoader worker (pid",
    "CUDA error",
    *(f"{os.strerror(number)} ({number})" for number in MACHINE_ERRNOS),
)
"""Parts of RuntimeErrors that torch and Python raise when the machine fails; torch ends a message
on shared memory with the system's text and number."""


class InputError(ValueError):
    """Bad input: one to three lines that name the key, the value and what is allowed.

    The command prints only the message and exits with status 2, before any work has started.
    """


class StorageUnavailable(InputError):
    """A file could not be read because its file system failed; the file itself may be intact."""


class RunFailed(BaseException):
    """Runs failed for a reason that was not their input; their directories hold the tracebacks.

    Not an ``Exception``: Hydra would catch it and print its own message.

    Args:
        message: the line that the command prints.
        traceback: traceback of the error, if it occurred in another process or in one run of
            several.
    """

    def __init__(self, message: str, traceback: str | None = None) -> None:
        super().__init__(message)
        self.traceback = traceback


class StorageFailed(RunFailed):
    """The run directories can no longer be written: every further run would fail in the same way.

    What was recorded before stays, and `resume` continues from it.
    """


class FilesChanged(Exception):
    """Something else removed or changed a file or directory of a run while the run trained.

    The run fails, because its record would begin somewhere in the middle.
    """


class SweepStopped(BaseException):
    """A sweep with ``on_error=stop`` met a failure. Not an ``Exception``: launchers catch those."""


class Interrupted(BaseException):
    """SIGINT or SIGTERM asked the program to end. Not an ``Exception``: launchers catch those."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number

    @property
    def exit_status(self) -> int:
        """128 + the signal's number, as a shell reports it: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signal_number


def first_line(error: BaseException | None) -> str:
    """The first line of an error's message; empty where there is none."""
    lines = str(error).strip().splitlines() if error is not None else []
    return lines[0] if lines else ""


def describe_error(error: BaseException) -> str:
    """`first_line`, after the name of the exception type if the message alone may not be clear.

    A KeyError says ``'lr'``; this says ``KeyError: 'lr'``. If the error came from the user's own
    code, file, line and function follow.
    """
    kind, line = type(error).__name__, first_line(error)
    is_sentence = isinstance(error, ValueError | TypeError | RuntimeError | Warning)
    described = line if line and is_sentence else f"{kind}: {line}".removesuffix(": ")
    location = user_place(error)
    return described if location is None else f"{described} ({location})"


def failure_line(error: BaseException) -> str:
    """The type of an error, the first line of its message and its place in the user's code: the
    text that is recorded for a failed run."""
    location = user_place(error)
    described = f"{type(error).__name__}: {first_line(error)}"
    return described if location is None else f"{described} ({location})"


def os_error_line(error: OSError) -> str:
    """The reason of an OSError and the file that it is about, in one line."""
    reason = error.strerror or first_line(error) or type(error).__name__
    return reason if error.filename is None else f"{reason}: {error.filename}"


def machine_failure(error: BaseException) -> str | None:
    """One line on the failure of the machine that caused an error, or None.

    A full disk, a lost file system or a failing GPU says nothing about the network, the data or the
    arguments. Exhausted memory does not count: less may be requested (`is_out_of_memory`).

    Args:
        error: exception; its causes and contexts are examined too, since libraries hide errors.
    """
    import torch  # here, since every command imports this module

    for link in error_chain(error):
        if isinstance(link, OSError) and _is_of_the_machine(link):
            return os_error_line(link)
        if isinstance(link, torch.AcceleratorError):
            return first_line(link)
        if isinstance(link, RuntimeError) and any(part in str(link) for part in MACHINE_MESSAGES):
            return first_line(link)
    return None


def _is_of_the_machine(error: OSError) -> bool:
    # A library that gives up waiting for another machine has no error number.
    return error.errno in MACHINE_ERRNOS or isinstance(error, TimeoutError | ConnectionError)
