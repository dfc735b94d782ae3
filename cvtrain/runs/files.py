"""Write files atomically, or by appending without keeping them open."""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from cvtrain.process.errors import FilesChanged
from cvtrain.process.regular_file import open_regular

UNFINISHED = ".unfinished"
COMPARED = 64
"""Number of bytes at the end of a file by which it is recognised: a row, or a checksum."""
PIECE = 1 << 20
"""Number of bytes that are read at a time for a checksum."""


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it.

    Readers see the old file or the new one, even if the writer is killed. The directory is not
    created: a directory that was removed while its run trained is not made again.
    """
    prefix = f".{path.name}."
    descriptor, temporary = tempfile.mkstemp(suffix=UNFINISHED, prefix=prefix, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    path.chmod(0o666 & ~_umask())


def remove_unfinished(directory: Path) -> None:
    """Remove temporary files of killed writers from a directory that nobody else writes to."""
    for path in directory.glob(f".*{UNFINISHED}"):
        path.unlink(missing_ok=True)


def _umask() -> int:
    # mkstemp makes files readable only by the owner; run files should have the usual permissions.
    mask = os.umask(0)
    os.umask(mask)
    return mask


@dataclass(frozen=True)
class Content:
    """Size and checksum of the first bytes of a file.

    Attributes:
        size: number of bytes.
        checksum: their CRC-32; None: unknown, and not compared.
    """

    size: int
    checksum: int | None

    def after(self, more: bytes) -> Content:
        """The content after `more` is appended."""
        return Content(self.size + len(more), zlib.crc32(more, self.checksum or 0))

    def begins(self, path: Path) -> bool:
        """Whether a file begins with this content.

        Raises:
            OSError: the file is not a regular file, or cannot be read.
        """
        read = content_of(path, self.size)
        return read.size == self.size and self.checksum in (None, read.checksum)


def content_of(path: Path, size: int | None = None) -> Content:
    """Size and checksum of a file's first `size` bytes, or of the whole file.

    Raises:
        OSError: the file is not a regular file, or cannot be read.
    """
    content, remaining = Content(0, 0), size
    with open_regular(path) as file:
        while piece := file.read(PIECE if remaining is None else min(PIECE, remaining)):
            content = content.after(piece)
            remaining = None if remaining is None else remaining - len(piece)
    return content


@dataclass(frozen=True)
class _End:
    """Size and last bytes of a file after the last write of this process."""

    size: int
    last: bytes

    def after(self, content: bytes) -> _End:
        return _End(self.size + len(content), (self.last + content)[-COMPARED:])


class AppendedFile:
    """Collects bytes and appends them at each `flush`; between flushes the file is closed.

    A thousand runs can therefore have files at the same time. Nothing else may write, remove or
    replace the file meanwhile.

    Args:
        path: path of the file.
        continued: whether to append to an existing file; otherwise the first flush replaces it.

    Attributes:
        content: size and checksum of what has been written so far, for a comparison with
            `content_of`.

    Raises:
        FilesChanged: `continued` is set and the file does not exist.
    """

    def __init__(self, path: Path, continued: bool = False) -> None:
        self._path = path
        self._pending: list[bytes] = []
        # None: this process has not written the file yet.
        self._end: _End | None = self._end_on_disk() if continued else None
        self.content = content_of(path) if continued else Content(0, 0)

    @property
    def name(self) -> str:
        """Name of the file without its directory."""
        return self._path.name

    def append(self, content: bytes) -> None:
        """Keep `content` in memory until the next flush."""
        self._pending.append(content)

    def flush(self) -> None:
        """Append the collected bytes in one write and pass them to the operating system.

        Raises:
            FilesChanged: the file is not the one written before, or its directory is gone; nothing
                is written.
        """
        if not self._pending:
            return
        content, end = b"".join(self._pending), self._end
        # Before the write: bytes that a full disk took in part must not be written a second time.
        self._pending.clear()
        creation = os.O_CREAT | os.O_TRUNC if end is None else 0
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | creation, 0o666)
        except (FileNotFoundError, NotADirectoryError):
            raise self._removed() from None
        with os.fdopen(descriptor, "ab") as file:
            if end is not None and _end_of(descriptor) != end:
                raise self._changed()
            file.write(content)
        self._end = (end or _End(0, b"")).after(content)
        self.content = self.content.after(content)

    def rewrite(self, change: Callable[[bytes], bytes]) -> None:
        """Flush, and replace the file by the result of `change` applied to its content.

        Raises:
            FilesChanged: the file is not the one written before, or its directory is gone; nothing
                is written.
        """
        self.flush()
        self.verify()
        content = change(self._path.read_bytes())
        write_atomically(self._path, lambda file: file.write(content))
        self._end = _End(0, b"").after(content)
        self.content = Content(0, 0).after(content)

    def verify(self) -> None:
        """Check that the file is still the one that was written.

        Raises:
            FilesChanged: the file was removed, changed or replaced.
        """
        if self._end is not None and self._end_on_disk() != self._end:
            raise self._changed()

    def close(self) -> None:
        """Flush; no file is open."""
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _end_on_disk(self) -> _End:
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
