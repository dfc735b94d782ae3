"""Download published files: a file is complete with the right checksum, or it is not there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from cvtrain.data.idx import find_idx
from cvtrain.process.errors import first_line

TIMEOUT = 20.0
"""Seconds without data after which the next mirror is tried."""

LARGEST = 1 << 26
"""Largest number of bytes that is read of a file; every published file is smaller."""

_refused: ContextVar[bool] = ContextVar("_refused", default=False)


@contextmanager
def downloads_refused() -> Iterator[None]:
    """Context in which a download raises an error: the request may come from a file that a stranger
    wrote."""
    token = _refused.set(True)
    try:
        yield
    finally:
        _refused.reset(token)


def download(folder: Path, checksums: Mapping[str, str], mirrors: Sequence[str]) -> None:
    """Download the files that `folder` lacks, each from the first mirror that has it unchanged.

    A file gets its name only when it is complete on disk, so no process, not even another download,
    ever sees a part of it. Existing files, packed or unpacked, are neither changed nor compared.

    Args:
        folder: folder of the files; made if missing.
        checksums: MD5, 32 hexadecimal digits, by file name, which ends in ``.gz``.
        mirrors: addresses of folders, with a slash at the end.

    Raises:
        ValueError: no mirror provides a file, it cannot be written, or downloads are refused.
    """
    for name, checksum in checksums.items():
        if find_idx(folder, name.removesuffix(".gz")) is not None:
            continue
        if _refused.get():
            raise ValueError(
                f"{folder}: has no {name}; a download is not begun because a file says"
                " data.download=true: type that yourself (with plan=true nothing is trained)"
            )
        try:
            _fetch(folder, name, checksum, mirrors)
        except OSError as error:
            raise ValueError(f"{folder / name}: cannot be written ({error.strerror})") from None


def _fetch(folder: Path, name: str, checksum: str, mirrors: Sequence[str]) -> None:
    import pooch

    problems = []
    for mirror in mirrors:
        try:
            pooch.retrieve(mirror + name, f"md5:{checksum}", name, folder, downloader=_get)
        except ValueError as error:
            problems.append(f"{mirror}: {error}")
        else:
            return
    raise ValueError(
        f"{name} cannot be downloaded: {'; '.join(problems)}; where there is a network, fetch it"
        f" from there or elsewhere, and put it into {folder}"
    )


def _get(address: str, file: str, _: object) -> None:
    """Download for pooch, which passes the name of an empty file that only its owner can read."""
    try:
        with urlopen(address, timeout=TIMEOUT) as response:
            content: bytes = response.read(LARGEST + 1)
    except (OSError, HTTPException) as error:
        raise ValueError(_reason(error)) from None
    Path(file).unlink()
    with Path(file).open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        error.close()  # the error is also the response
        return str(error)
    cause = error.reason if isinstance(error, URLError) else error
    return first_line(cause) or type(cause).__name__ if isinstance(cause, Exception) else str(cause)
