"""Links in a directory that a stranger may have made: what is written must not leave by them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from cvtrain.process.errors import InputError


def refuse_links_that_leave(directory: Path) -> None:
    """Look through a directory before files in it are replaced, cut off or appended to.

    Raises:
        InputError: it has a symbolic link to something outside of it, or to itself.
    """
    root = resolved(directory)
    for folder, *names in os.walk(root):
        for path in (Path(folder, name) for name in (*names[0], *names[1])):
            if not path.is_symlink():
                continue
            if leads_nowhere(path):
                raise InputError(f"{path}: is a link to itself; nothing is written there")
            if not resolved(path).is_relative_to(root):
                raise InputError(f"{path}: is a link out of {directory}; nothing is written there")


def resolved(path: Path) -> Path:
    """The absolute path that links lead to; of links in a circle, the one where it was noticed.

    `Path.resolve` raises a RuntimeError for these.
    """
    return Path(os.path.realpath(path))


def leads_nowhere(path: Path) -> bool:
    """Whether a path is a link to itself, by way of others or not."""
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False
