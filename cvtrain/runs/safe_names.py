"""Safe paths: names that every file system accepts, and the targets of links."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from pathlib import Path

NAME_BEGINS = "events.out.tfevents."
"""Of TensorBoard's event files."""

REPORT, AGGREGATE = "report", "aggregate"
"""Folders beside the runs of a sweep: its report, and means and curves for TensorBoard."""
FORMER_AGGREGATE = "+aggregate"
"""Name of the folder `AGGREGATE` in directories that an earlier version reported on."""
LONGEST_NAME = 120
"""Largest number of characters of names that cvtrain makes."""
LONGEST_FILE_NAME = 255
"""Largest number of bytes of a file name on common file systems."""
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,=+~-]*")


def shortened(text: str) -> str:
    """`text`, or if it is longer than `LONGEST_NAME`, its beginning and a digest of the whole
    text."""
    if len(text) <= LONGEST_NAME:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{text[: LONGEST_NAME - 9]}~{digest}"


def plain(text: str) -> str:
    """`text` with `_` in place of every character that a file system, a shell or Hydra interprets.

    Hydra would replace ``${key}`` by the value of another key.
    """
    return re.sub(r"[^A-Za-z0-9_.,=+-]", "_", text)


def is_plain(name: str) -> bool:
    """Whether `name`, read from an untrusted file, can be the name of a run directory: it cannot
    lead elsewhere, and is not a folder of the sweep."""
    free = len(name) <= LONGEST_FILE_NAME and name not in (REPORT, AGGREGATE)
    return free and PLAIN.fullmatch(name) is not None


def resolved(path: Path) -> Path:
    """The absolute path with links resolved; for circular links, the path where the circle closes.

    `Path.resolve` raises a RuntimeError for circular links.
    """
    return Path(os.path.realpath(path))


def from_here(path: Path) -> str:
    """`path` as an argument of a command in the working directory: relative if it is below that
    directory, and never like an option."""
    directory = Path.cwd()
    text = str(path.relative_to(directory) if path.is_relative_to(directory) else path)
    return f"./{text}" if text.startswith("-") else text


def is_circular_link(path: Path) -> bool:
    """Whether `path` is a link that leads to itself, directly or through other links."""
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False
