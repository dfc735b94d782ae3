"""A file that is open only while it grows, so that a thousand runs can have theirs at once."""

from __future__ import annotations

from pathlib import Path


class AppendedFile:
    """Collects bytes and appends them at each `flush`.

    Args:
        path: of the file.
        continued: whether a file that is there already is appended to; else the first flush
            replaces it.
    """

    def __init__(self, path: Path, continued: bool = False) -> None:
        self._path = path
        self._pending: list[bytes] = []
        self._mode = "ab" if continued else "wb"

    def append(self, content: bytes) -> None:
        """Keep `content` for the next flush."""
        self._pending.append(content)

    def flush(self) -> None:
        """Append all that is kept, in one write, and hand it to the operating system."""
        if not self._pending:
            return
        content, mode = b"".join(self._pending), self._mode
        # Before the write: what a full disk took a part of must not be written a second time.
        self._pending.clear()
        self._mode = "ab"
        with self._path.open(mode) as file:
            file.write(content)
