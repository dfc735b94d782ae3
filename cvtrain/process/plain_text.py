"""Text of users and of their files, shown as it is: nothing in it ends a line or moves a cursor."""

from __future__ import annotations

import re
import sys
from typing import TextIO

NO_SHAPE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, ends of lines, what turns the direction of writing, and bytes of a path that
are no UTF-8."""


def printable(text: str, lines: bool = False) -> str:
    """`text` with a backslash escape in place of every character that has no shape of its own.

    Args:
        text: of any origin.
        lines: whether the ends of its lines stay.

    Example: of ``"a"``, an escape character and ``"[2J"`` it makes ``"a\\x1b[2J"``.
    """

    def escaped(found: re.Match[str]) -> str:
        if lines and found[0] == "\n":
            return found[0]
        return found[0].encode("unicode_escape").decode()

    return NO_SHAPE.sub(escaped, text)


def say(text: str, file: TextIO | None = None) -> None:
    """Print a text of one or more lines, to stdout where no file is given."""
    print(printable(text, lines=True), file=file or sys.stdout, flush=True)
