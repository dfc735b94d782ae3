"""Links in a directory that a stranger may have made: what is written must not leave by them."""

from __future__ import annotations

import os
from pathlib import Path

from cvtrain.errors import InputError


def refuse_links_that_leave(directory: Path) -> None:
    """Look through a directory before files in it are replaced, cut off or appended to.

    Raises:
        InputError: it has a symbolic link to something outside of it.
    """
    root = directory.resolve()
    for folder, *names in os.walk(root):
        for path in (Path(folder, name) for name in (*names[0], *names[1])):
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise InputError(f"{path}: is a link out of {directory}; nothing is written there")
