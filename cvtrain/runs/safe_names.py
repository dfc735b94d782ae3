"""Names of directories that any file system takes, and that lead nowhere else."""

from __future__ import annotations

import hashlib
import re

LONGEST_NAME = 120
LONGEST_FOUND = 255
"""Bytes of a name, on common file systems."""
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,=+~-]*")


def shortened(text: str) -> str:
    """`text`, or where that is too long its beginning and a digest of all of it."""
    if len(text) <= LONGEST_NAME:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{text[: LONGEST_NAME - 9]}~{digest}"


def plain(text: str) -> str:
    """`text` with `_` for every character that means something to a file system, to a shell, or
    to Hydra, which would put the value of another key in the place of ``${key}``."""
    return re.sub(r"[^A-Za-z0-9_.,=+-]", "_", text)


def is_plain(name: str) -> bool:
    """Whether a name, which may be a stranger's, is that of a directory and nothing more."""
    return len(name) <= LONGEST_FOUND and PLAIN.fullmatch(name) is not None
