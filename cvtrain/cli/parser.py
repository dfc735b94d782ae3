"""Parser of the words after a command such as `cvtrain report`."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any, NoReturn

from cvtrain.process.errors import InputError
from cvtrain.process.plain_text import cvtrain_command


class CommandParser(ArgumentParser):
    """Parses the words of one command; raises InputError where argparse prints its usage and exits.

    Args:
        command: name of the command, such as ``report``.
        description: for ``--help``, whose line breaks stay; a line of it that begins with the
            command is shown as it is typed here, e.g. ``scripts/cvtrain report``.
        arguments: others of `argparse.ArgumentParser`.
    """

    def __init__(self, command: str, description: str, **arguments: Any) -> None:
        typed = cvtrain_command(command)
        super().__init__(
            prog=typed,
            description=description.replace(f"    cvtrain {command}", f"    {typed}"),
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **arguments,
        )

    def error(self, message: str) -> NoReturn:
        """Raise an InputError of one line."""
        raise InputError(f"{message}; see --help")
