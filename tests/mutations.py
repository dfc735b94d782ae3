"""Files as nobody's cvtrain writes them: any value, or any byte, is something else."""

from __future__ import annotations

import copy
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key and index of nested dicts and lists."""
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def with_another_value(content: Any, draw: random.Random, values: Sequence[Any]) -> Any:
    """A copy in which one place holds one of `values`, or is left out."""
    changed = copy.deepcopy(content)
    *above, key = draw.choice(list(places(changed)))
    node = changed
    for step in above:
        node = node[step]
    if draw.random() < 0.2 and isinstance(node, dict):
        del node[key]
    else:
        node[key] = draw.choice(values)
    return changed


def with_other_bytes(content: bytes, draw: random.Random) -> bytes:
    """A copy in which up to three bytes differ, every other time cut off somewhere."""
    changed = bytearray(content)
    for _ in range(draw.randrange(1, 4)):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed[: draw.choice([None, draw.randrange(len(changed))])])


def _without(path: Path) -> Path:
    """The path, with nothing there any more."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    return path


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


IN_PLACE: dict[str, Callable[[Path], object]] = {
    "directory": lambda path: _without(path).mkdir(),
    "pipe": lambda path: os.mkfifo(_without(path)),
    "device": lambda path: _without(path).symlink_to("/dev/zero"),
    "loop": lambda path: _without(path).symlink_to(path.name),
    "gone": lambda path: _without(path).symlink_to("nowhere"),
    "missing": _without,
    "huge": lambda path: _sparse(_without(path)),
    "empty": lambda path: _without(path).touch(),
    "nested": lambda path: _without(path).write_bytes(b"[" * 100_000),
    "quote": lambda path: _without(path).write_bytes(b'step\r\n"\r\n'),
    "zeros": lambda path: _without(path).write_bytes(bytes(4096)),
}
"""Puts something else in the place of a file or a directory, which may be missing."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """What takes longer inside fails."""

    def fail(*_: object) -> None:
        raise AssertionError(f"it took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
