"""Commands for pasting that are printed at the end of a command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cvtrain.process.plain_text import cvtrain_command, say
from cvtrain.runs.safe_names import from_here

SCREENFUL = 20
"""Number of lines with which a command ends: its result, the location of files, three commands."""
LAST_LINES = 4
"""Number of these lines after the result."""


def say_commands(commands: Mapping[str, str]) -> None:
    """Print commands, one line each, which begins with the purpose of the command."""
    for purpose, command in commands.items():
        say(f"{purpose + ':':<9} {command}")


def evaluation_command(run: Path, trusted: Sequence[str]) -> str:
    """The command that evaluates a run.

    Args:
        run: directory of the run.
        trusted: packages of the user that its configuration names.
    """
    flags = (word for package in trusted for word in ("--trust", package))
    return cvtrain_command("evaluate", from_here(run), *flags)
