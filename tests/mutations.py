"""Files as nobody's cvtrain writes them: any value, or any byte, is something else."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Sequence
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
    there = changed
    for step in above:
        there = there[step]
    if draw.random() < 0.2 and isinstance(there, dict):
        del there[key]
    else:
        there[key] = draw.choice(values)
    return changed


def with_other_bytes(content: bytes, draw: random.Random) -> bytes:
    """A copy in which up to three bytes differ, every other time cut off somewhere."""
    changed = bytearray(content)
    for _ in range(draw.randrange(1, 4)):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed[: draw.choice([None, draw.randrange(len(changed))])])
