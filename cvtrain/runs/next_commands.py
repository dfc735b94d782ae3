"""The commands for pasting with which a command ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cvtrain.process.plain_text import cvtrain_command, say
from cvtrain.runs.safe_names import from_here

SCREENFUL = 20
"""Lines that a command ends with: its result, where the files are, and three commands."""
LAST_LINES = 4
"""Those after the result."""


def say_commands(commands: Mapping[str, str]) -> None:
    """Print commands, each in a line that begins with what it is for."""
    for purpose, command in commands.items():
        say(f"{purpose + ':':<9} {command}")


def evaluation_command(run: Path, trusted: Sequence[str]) -> str:
    """The command that evaluates a run.

    Args:
        run: its directory.
        trusted: packages of the user's own that its configuration names.
    """
    flags = (word for package in trusted for word in ("--trust", package))
    return cvtrain_command("evaluate", from_here(run), *flags)
