"""Commands in messages, to be pasted into a shell: every path and value arrives as it is."""

from __future__ import annotations

import re
import shlex

CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def printed_command(*words: str) -> str:
    """One line that runs the program `words[0]` with the other words as its arguments.

    A shell (bash, zsh or any of POSIX 2024) that reads the line passes each word unchanged,
    whatever characters it holds.

    Example: ``printed_command("tensorboard", "--logdir", "my runs")`` is
    ``tensorboard --logdir 'my runs'``.
    """
    return " ".join(map(_shell_word, words))


def cvtrain_command(*arguments: str) -> str:
    """The line that runs cvtrain with these arguments, of which the first may name a command.

    An override whose value is a user's text is made by `cvtrain.config.compose.as_override`, which
    puts it in Hydra's quotes where it needs them.
    """
    return printed_command("python", "-m", "cvtrain", *arguments)


def _shell_word(word: str) -> str:
    # Control characters would break the line, or move the terminal's cursor.
    if not CONTROL.search(word):
        return shlex.quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + CONTROL.sub(lambda found: f"\\{ord(found[0]):03o}", escaped) + "'"
