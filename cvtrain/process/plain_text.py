"""Show text and commands of users literally: nothing in them ends a line or moves a cursor."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TextIO

NO_SHAPE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line separators, characters that change the direction of writing, and bytes
of a path that are not UTF-8."""

CONTROL = re.compile(r"[\x00-\x1f\x7f]")

STARTED_AS = "CVTRAIN_COMMAND"
"""Environment variable in which scripts/cvtrain passes the path by which it was called."""


def printable(text: str, lines: bool = False) -> str:
    """`text` with a backslash escape in place of every character that has no visible form.

    Args:
        text: text of any origin.
        lines: whether line ends are kept.

    Example: ``"a"``, an escape character and ``"[2J"`` become ``"a\\x1b[2J"``.
    """

    def escaped(match: re.Match[str]) -> str:
        if lines and match[0] == "\n":
            return match[0]
        return match[0].encode("unicode_escape").decode()

    return NO_SHAPE.sub(escaped, text)


def say(text: str, file: TextIO | None = None) -> None:
    """Print a text of one or more lines; `file` None: to stdout."""
    print(printable(text, lines=True), file=file or sys.stdout, flush=True)


def printed_command(*words: str) -> str:
    """One line that runs the program `words[0]` with the other words as its arguments.

    If the line is pasted into a shell (bash, zsh or any of POSIX 2024), each word is passed
    unchanged, whatever characters it holds.

    Example: ``printed_command("tensorboard", "--logdir", "my runs")`` is ``tensorboard --logdir 'my
    runs'``.
    """
    return " ".join(map(_shell_word, words))


def cvtrain_command(*arguments: str) -> str:
    """The line that runs cvtrain with these arguments, the first of which may name a command.

    It starts cvtrain in the same way as this process was started, so that it works in the same
    shell. Make an override with a user's text as its value by
    `cvtrain.config.overrides.as_override`, which adds Hydra's quotes if they are needed.
    """
    return printed_command(*own_command(), *arguments)


def own_command() -> tuple[str, ...]:
    """The words that start cvtrain in the way in which this process was started.

    They are ``scripts/cvtrain`` (by the path that was typed), the installed ``cvtrain``, or
    ``python -m cvtrain``, with paths of programs that the shell would not find by name.
    """
    script = os.environ.get(STARTED_AS)
    if script:
        return (script,)
    started = Path(sys.argv[0])
    if started.name == "cvtrain":
        return (_program(started),)
    return (_program(Path(sys.executable)), "-m", "cvtrain")


def python_command() -> str:
    """The word that starts this process's Python in the shell that started it."""
    return _program(Path(sys.executable))


def _program(path: Path) -> str:
    """The word by which a shell in the working directory runs the program at `path`."""
    path = path.absolute()
    for name in (path.name, "python"):
        in_search_path = shutil.which(name)
        if in_search_path is not None and Path(in_search_path).absolute() == path:
            return name
    below = path.is_relative_to(Path.cwd())
    return str(path.relative_to(Path.cwd())) if below else str(path)


def _shell_word(word: str) -> str:
    # Control characters would break the line or move the terminal's cursor.
    if not CONTROL.search(word):
        return shlex.quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + CONTROL.sub(lambda match: f"\\{ord(match[0]):03o}", escaped) + "'"
