"""Lines on a wrong configuration: each names a key, its value and what it should be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError


def explain_invalid(
    error: ValidationError,
    known: Iterable[str],
    most: int = 3,
    show: Callable[[Any], str] = str,
) -> list[str]:
    """One line for each wrong value: its key, the value and what is allowed.

    Args:
        error: of pydantic.
        known: the keys that exist, for suggestions.
        most: how many lines.
        show: the text of a value.
    """
    keys = list(known)
    return [_line(dict(detail), keys, show) for detail in error.errors()[:most]]


def _line(detail: Mapping[str, Any], known: Sequence[str], show: Callable[[Any], str]) -> str:
    location = [str(part) for part in detail["loc"]]
    if len(location) > 1 and location[0] in ("clip", "scheduler", "logger"):
        del location[1]  # the kind, by which pydantic names the alternative it tried
    key = ".".join(location)
    if detail["type"] == "extra_forbidden":
        return f"{key}={show(detail['input'])}: no such key{suggestion(key, known)}"
    if detail["type"] == "missing":
        return f"{key}: a value is needed"
    if detail["type"] == "union_tag_invalid":
        context = detail["ctx"]
        return f"{key}.kind={context['tag']}: should be one of {context['expected_tags']}"
    allowed = re.sub("^(Value error, |Input )?(should )?", "", detail["msg"])
    return f"{key}={show(detail['input'])}: should {allowed}"


def config_keys(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted keys of a section and, recursively, of its sections."""
    for name, field in section.model_fields.items():
        key = prefix + (field.alias or name)
        yield key
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from config_keys(kind, f"{key}.")


def floats(content: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """The floats anywhere in nested mappings and lists, by their dotted keys."""
    if isinstance(content, float):
        yield key, content
    elif isinstance(content, Mapping):
        for name, value in content.items():
            yield from floats(value, f"{key}.{name}" if key else str(name))
    elif isinstance(content, list | tuple):
        for value in content:
            yield from floats(value, key)


def suggestion(key: str, known: Iterable[str]) -> str:
    """'; did you mean …?' with the nearest known keys, or the other keys of the section."""
    keys = sorted(set(known))
    parent = key.rpartition(".")[0]
    candidates = [name for name in keys if name != parent]
    near = difflib.get_close_matches(key, candidates, n=2, cutoff=0.7)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    siblings = [name for name in keys if name.rpartition(".")[0] == parent]
    return f"; there are {', '.join(siblings)}" if 0 < len(siblings) <= 40 else ""
