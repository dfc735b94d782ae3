"""What can go wrong, by what the user can do about it."""


def first_line(error: BaseException | None) -> str:
    """What an error says, in one line; empty where it says nothing."""
    lines = str(error).strip().splitlines() if error is not None else []
    return lines[0] if lines else ""


def told(error: BaseException) -> str:
    """`first_line`, with the type of an error that does not speak for itself."""
    kind, line = type(error).__name__, first_line(error)
    if not line:
        return kind
    speaks = isinstance(error, ValueError | TypeError | RuntimeError | Warning)
    return line if speaks else f"{kind}: {line}"


class InputError(ValueError):
    """Bad input: one to three lines that name the key, the value and what is allowed.

    The command prints the message alone and exits with status 2, before any work has started.
    """


class StorageUnavailable(InputError):
    """A file could not be read because its file system failed; the file itself may be whole."""


class RunFailed(BaseException):
    """Runs failed for a reason that was not their input; their directories hold the tracebacks.

    Not an ``Exception``: Hydra would catch it and print its own account of it.
    """


class StorageFailed(RunFailed):
    """The run directories can no longer be written: every further run would fail in the same way.

    What was recorded before stays, and `resume` goes on with it.
    """


class FilesChanged(Exception):
    """A file or directory of a run was removed or changed by something else while the run trained.

    The run fails: its record would begin somewhere in the middle.
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
