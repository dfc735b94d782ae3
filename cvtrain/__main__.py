"""`python -m cvtrain`, and the command `cvtrain`."""

import sys

from cvtrain.process.exit_status import STOPPED_AND_KEPT, end_process


def console() -> None:
    """Entry point of the `cvtrain` command."""
    end_process("cvtrain", _command, STOPPED_AND_KEPT)


def _command() -> int:
    # Not at the top: it takes a second, in which a signal may come too.
    from cvtrain.cli.train import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    console()
