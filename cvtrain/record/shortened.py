"""Names of directories that any file system takes."""

from __future__ import annotations

import hashlib

LONGEST_NAME = 120


def shortened(text: str) -> str:
    """`text`, or where that is too long its beginning and a digest of all of it."""
    if len(text) <= LONGEST_NAME:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{text[: LONGEST_NAME - 9]}~{digest}"
