"""Lines that explain a wrong configuration: each names a key, its value and what it should be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

LISTS = ("list_type", "tuple_type", "iterable_type")
"""Pydantic's types of errors for a value that should be a list."""

OTHER_WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "max_steps": ("epochs", "epoch", "max_epochs", "num_epochs", "n_epochs", "iterations"),
        "optimizer.lr": ("learning_rate", "rate", "eta", "alpha", "step_size"),
        "batch_size": ("batch", "bs", "minibatch", "batchsize"),
        "model": ("net", "network", "arch", "architecture"),
        "data": ("dataset", "task"),
        "objective": ("loss", "criterion"),
        "trainer.accelerator": ("device", "gpu", "cuda", "cpu"),
        "trainer.devices": ("gpus", "num_gpus", "ngpus"),
        "trusted_modules": ("trust", "trusted"),
    }
)
"""Names that other programs use for a key."""


def explain_invalid(
    error: ValidationError,
    known: Iterable[str],
    most: int = 3,
    show: Callable[[Any], str] = str,
) -> list[str]:
    """One line per wrong value: its key, the value and what is allowed.

    Args:
        error: pydantic's error.
        known: existing keys, for suggestions.
        most: largest number of lines.
        show: function that formats a value.
    """
    keys = list(known)
    return [_line(dict(detail), keys, show) for detail in error.errors()[:most]]


def _line(detail: Mapping[str, Any], known: Sequence[str], show: Callable[[Any], str]) -> str:
    location = [str(part) for part in detail["loc"]]
    if len(location) > 1 and location[0] in ("clip", "scheduler", "logger", "objective"):
        del location[1]  # the kind: pydantic's name of the alternative that it tried
    key = ".".join(location)
    if detail["type"] == "extra_forbidden":
        return f"{key}={show(detail['input'])}: no such key{suggestion(key, known)}"
    if detail["type"] == "missing":
        return f"{key}: should have a value"
    if detail["type"] == "union_tag_not_found":
        return f"{key}.kind: should have a value"
    if detail["type"] == "union_tag_invalid":
        context = detail["ctx"]
        return f"{key}.kind={context['tag']}: should be one of {context['expected_tags']}"
    return f"{key}={show(detail['input'])}: should {requirement(detail, show)}"


def requirement(detail: Mapping[str, Any], show: Callable[[Any], str] = str) -> str:
    """What a value should be, from an error of pydantic, e.g. ``be a list, e.g. [64]``.

    Args:
        detail: one item of ``ValidationError.errors()``.
        show: function that formats a value.
    """
    if detail["type"] in LISTS or "instance of Sequence" in detail["msg"]:
        return f"be a list, e.g. [{show(detail['input'])}]"
    return re.sub("^(Value error, |Input )?(should )?", "", detail["msg"])


def config_keys(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted keys of a section and of its subsections."""
    from pydantic import BaseModel  # not at the top: --help and --cfg do not need it

    for name, field in section.model_fields.items():
        key = prefix + (field.alias or name)
        yield key
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            kind = getattr(part, "__origin__", part)  # unwrap an annotated type
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from config_keys(kind, f"{key}.")


def floats(content: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """The floats in nested mappings and lists, with their dotted keys."""
    if isinstance(content, float):
        yield key, content
    elif isinstance(content, Mapping):
        for name, value in content.items():
            yield from floats(value, f"{key}.{name}" if key else str(name))
    elif isinstance(content, list | tuple):
        for value in content:
            yield from floats(value, key)


def suggestion(key: str, known: Iterable[str]) -> str:
    """A hint "; did you mean …?" with the nearest known keys, keys with the same last part, or the
    key that other programs call `key`; otherwise the other keys of the section, if there are
    few."""
    keys = sorted(set(known))
    parent, _, last = key.rpartition(".")
    candidates = [name for name in keys if name != parent]
    near = [name for name in candidates if last in OTHER_WORDS.get(name, ())]
    near = (
        near
        or sorted(
            (name for name in candidates if name.rpartition(".")[2] == last),
            key=lambda name: name.count("."),
        )[:1]
    )
    near = near or difflib.get_close_matches(key, candidates, n=2, cutoff=0.7)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    siblings = [name for name in keys if name.rpartition(".")[0] == parent]
    return f"; there are {', '.join(siblings)}" if 0 < len(siblings) <= 16 else ""
