"""A file that is open only while it grows, so that a thousand runs can have theirs at once."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from cvtrain.process.errors import FilesChanged
from cvtrain.process.regular_file import open_regular

COMPARED = 64
"""Bytes at the end of a file by which it is recognised: a row or a checksum of its own."""


PIECE = 1 << 20
"""Bytes that are read at a time for a checksum."""


@dataclass(frozen=True)
class Content:
    """What the first bytes of a file are.

    Attributes:
        size: how many bytes.
        checksum: their CRC-32; None: any will do.
    """

    size: int
    checksum: int | None

    def after(self, more: bytes) -> Content:
        """The same with more bytes behind it."""
        return Content(self.size + len(more), zlib.crc32(more, self.checksum or 0))

    def begins(self, path: Path) -> bool:
        """Whether a file begins with this content.

        Raises:
            OSError: it is no regular file, or cannot be read.
        """
        read = content_of(path, self.size)
        return read.size == self.size and self.checksum in (None, read.checksum)


def content_of(path: Path, size: int | None = None) -> Content:
    """Read a file's first `size` bytes, or all of it, for what `Content` says of them.

    Raises:
        OSError: it is no regular file, or cannot be read.
    """
    content, left = Content(0, 0), size
    with open_regular(path) as file:
        while piece := file.read(PIECE if left is None else min(PIECE, left)):
            content = content.after(piece)
            left = None if left is None else left - len(piece)
    return content


@dataclass(frozen=True)
class _End:
    """Where a file ended when this process last wrote it, and its last bytes."""

    size: int
    last: bytes

    def after(self, content: bytes) -> _End:
        return _End(self.size + len(content), (self.last + content)[-COMPARED:])


class AppendedFile:
    """Collects bytes and appends them at each `flush`.

    Nothing else may write the file, remove it or put another one in its place meanwhile.

    Args:
        path: of the file.
        continued: whether a file that is there already is appended to; else the first flush
            replaces it.

    Attributes:
        content: what has been written, for `content_of` to be compared with later.

    Raises:
        FilesChanged: there is no file to be continued.
    """

    def __init__(self, path: Path, continued: bool = False) -> None:
        self._path = path
        self._pending: list[bytes] = []
        # None: this process has not written it yet.
        self._end: _End | None = self._found() if continued else None
        self.content = content_of(path) if continued else Content(0, 0)

    @property
    def name(self) -> str:
        """Of the file, without its directory."""
        return self._path.name

    def append(self, content: bytes) -> None:
        """Keep `content` for the next flush."""
        self._pending.append(content)

    def flush(self) -> None:
        """Append all that is kept, in one write, and hand it to the operating system.

        Raises:
            FilesChanged: the file is not the one that was written before, or its directory has
                gone; nothing is written.
        """
        if not self._pending:
            return
        content, end = b"".join(self._pending), self._end
        # Before the write: what a full disk took a part of must not be written a second time.
        self._pending.clear()
        begins = os.O_CREAT | os.O_TRUNC if end is None else 0
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | begins, 0o666)
        except (FileNotFoundError, NotADirectoryError):
            raise self._removed() from None
        with os.fdopen(descriptor, "ab") as file:
            if end is not None and _end_of(descriptor) != end:
                raise self._changed()
            file.write(content)
        self._end = (end or _End(0, b"")).after(content)
        self.content = self.content.after(content)

    def verify(self) -> None:
        """Look whether the file is still the one that was written.

        Raises:
            FilesChanged: it is not.
        """
        if self._end is not None and self._found() != self._end:
            raise self._changed()

    def _found(self) -> _End:
        try:
            with self._path.open("rb") as file:
                return _end_of(file.fileno())
        except (FileNotFoundError, NotADirectoryError):
            raise self._removed() from None

    def _removed(self) -> FilesChanged:
        return FilesChanged(f"{self._path}: was removed while the run trained")

    def _changed(self) -> FilesChanged:
        return FilesChanged(f"{self._path}: was changed or replaced while the run trained")


def _end_of(descriptor: int) -> _End:
    # Not the inode: some network file systems give a file another one whenever it is opened.
    size = os.fstat(descriptor).st_size
    return _End(size, os.pread(descriptor, COMPARED, max(0, size - COMPARED)))
