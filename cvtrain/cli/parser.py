"""Parser of the words after a command such as `cvtrain report`."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any, NoReturn

from cvtrain.process.errors import InputError
from cvtrain.process.plain_text import cvtrain_command


def as_typed_here(command: str, description: str) -> str:
    """A description in which lines that begin with ``cvtrain`` and the command show it as it is
    typed here, e.g. ``scripts/cvtrain report``."""
    return description.replace(f"    cvtrain {command}", f"    {cvtrain_command(command)}")


class CommandParser(ArgumentParser):
    """Parses the words of one command; raises InputError where argparse would print usage and exit.

    Args:
        command: name of the command, such as ``report``.
        description: text for ``--help``, whose line breaks are kept; see `as_typed_here`.
        arguments: other arguments of `argparse.ArgumentParser`.
    """

    def __init__(self, command: str, description: str, **arguments: Any) -> None:
        super().__init__(
            prog=cvtrain_command(command),
            description=as_typed_here(command, description),
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **arguments,
        )

    def error(self, message: str) -> NoReturn:
        """Raise an InputError of one line."""
        raise InputError(f"{message}; see --help")
