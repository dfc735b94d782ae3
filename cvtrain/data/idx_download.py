"""Downloading published files: whole and with the right checksum, or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen
from uuid import uuid4

from cvtrain.data.idx import find_idx
from cvtrain.process.errors import first_line

TIMEOUT = 20.0
"""Seconds without a byte after which a mirror is given up."""

LARGEST = 1 << 26
"""Bytes; no file that is wanted is larger, and none that is larger is read to its end."""

_refused: ContextVar[bool] = ContextVar("_refused", default=False)


@contextmanager
def downloads_refused() -> Iterator[None]:
    """Inside, a file that is missing is an error, and is not downloaded: for what a file asks for,
    which a stranger may have written."""
    token = _refused.set(True)
    try:
        yield
    finally:
        _refused.reset(token)


def download(
    folder: Path,
    checksums: Mapping[str, str],
    mirrors: Sequence[str],
    timeout: float = TIMEOUT,
) -> None:
    """Fetch the files that `folder` lacks, each from the first mirror that has it unchanged.

    A file gets its name when all of it is on disk, so that nobody, another download included, ever
    sees a part. What is there already, packed or unpacked, is left as it is and not compared.

    Args:
        folder: is made if need be.
        checksums: MD5, as 32 hexadecimal digits, of each file by its name, which ends in ``.gz``.
        mirrors: addresses of folders, with the slash at their end.
        timeout: seconds that a mirror may be silent.

    Raises:
        ValueError: no mirror gives a file, or it cannot be written, or `downloads_refused`; the
            line says why.
    """
    for name, checksum in checksums.items():
        if find_idx(folder, name.removesuffix(".gz")) is None:
            if _refused.get():
                raise ValueError(
                    f"{folder}: has no {name}; a download is not begun because a file says"
                    " data.download=true: type that yourself (with plan=true nothing is trained)"
                )
            _write(folder, name, _fetch(folder, name, checksum, mirrors, timeout))


def _fetch(folder: Path, name: str, checksum: str, mirrors: Sequence[str], timeout: float) -> bytes:
    problems = []
    for mirror in mirrors:
        try:
            content = _get(mirror + name, timeout)
        except (OSError, HTTPException) as error:
            problems.append(f"{mirror} fails ({_reason(error)})")
            continue
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if found == checksum:
            return content
        problems.append(f"{mirror} gives {len(content)} bytes of MD5 {found}, not {checksum}")
    raise ValueError(
        f"{name} cannot be downloaded: {'; '.join(problems)}; where there is a network, fetch it"
        f" from there or elsewhere, and put it into {folder}"
    )


def _get(address: str, timeout: float) -> bytes:
    with urlopen(address, timeout=timeout) as response:
        content: bytes = response.read(LARGEST + 1)
    return content


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        error.close()  # it is the answer, too
        return str(error)
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, Exception):
        return first_line(cause) or type(cause).__name__
    return str(cause)


def _write(folder: Path, name: str, content: bytes) -> None:
    path = folder / name
    temporary = folder / f".{name}.{uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(f"{path}: cannot be written ({error.strerror})") from None
