"""Parse overrides of a command line with clear errors, and write them with quotes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, ValueType
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from cvtrain.config.sweep_size import check_axis
from cvtrain.process.errors import InputError, first_line
from cvtrain.process.regular_file import kind_of

PATH_KEYS = ("resume", "start_from", "data.path")
QUOTING = "\"key='a=b'\""
MOST_CHARACTERS = 10_000
"""Largest length of an override: the parser takes seconds for longer ones."""
MOST_KEY_CHARACTERS = 200
"""Largest length of a key, which is looked up as a group's folder: file names have some 255
bytes."""
MOST_DEPTH = 20
"""Largest depth of nested lists and mappings, which OmegaConf walks recursively."""
SHOWN = 60
"""Number of characters that an error message shows of a long override."""


@cache
def parse_override(text: str) -> Override:
    """Parse one override.

    Raises:
        InputError: the text is not an override, or stands for more points than a sweep may have.
    """
    override = _parsed(text)
    if not override.key_or_group:
        raise InputError(f"{text}: should be key=value, group=option or key=a,b")
    if len(override.key_or_group) > MOST_KEY_CHARACTERS:
        raise InputError(f"{text[:SHOWN]}…: no such key")
    if override.is_delete() and override.is_sweep_override():
        raise InputError(f"{text}: should delete or sweep a key, not both")
    if override.value_type is ValueType.GLOB_CHOICE_SWEEP:  # it needs the choices of a group
        raise InputError(f"{text}: should list its values; here glob() has none to choose from")
    if override.is_discrete_sweep():
        check_axis(override)
    return override


def _parsed(text: str) -> Override:
    if len(text) > MOST_CHARACTERS:
        raise InputError(
            f"{text[:SHOWN]}…: should have at most {MOST_CHARACTERS:,} characters, has"
            f" {len(text):,}"
        )
    try:
        override = OverridesParser.create().parse_override(text)
        deep = _depth(override.value()) > MOST_DEPTH
    except HydraException as error:
        raise InputError(f"{text}: {_fault(text, first_line(error))}") from None
    except RecursionError:
        deep = True
    except ValueError as error:  # a number with thousands of digits
        raise InputError(f"{text[:SHOWN]}…: {first_line(error).partition(';')[0]}") from None
    if deep:
        raise InputError(
            f"{text[:SHOWN]}…: should have brackets inside each other at most {MOST_DEPTH} deep"
        )
    return override


def _fault(text: str, reason: str) -> str:
    """Explain why a text is not an override, from the message of Hydra's parser."""
    if "=" not in text:
        return "should be key=value, group=option or key=a,b; --help lists groups and keys"
    called = re.search(r"while evaluating '.*?': (.*)", reason)
    if called:
        return f"{called[1]}; a text with parentheses needs quotes: {QUOTING}"
    return (
        f"should be key=value, group=option or key=a,b ({reason.partition(' expecting {')[0]}); a"
        f" value with one of = , ( ) [ ] {{ }} in it needs quotes: {QUOTING}"
    )


def _depth(value: Any) -> int:
    if isinstance(value, ChoiceSweep):
        return max(map(_depth, value.list), default=0)
    inside = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_depth, inside), default=0) if isinstance(value, list | dict) else 0


def quoted(text: str) -> str:
    """`text` as a quoted value of an override, for any characters."""
    # In a quoted value a backslash is literal, except before a quote.
    escaped = re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + (r"\'" if m[2] else ""), text)
    return f"'{escaped}'"


def as_override(key: str, text: str) -> str:
    """``key=text``, with quotes around `text` only if needed."""
    plain = f"{key}={text}"
    try:
        parsed = parse_override(plain)
    except InputError:
        return f"{key}={quoted(text)}"
    return plain if parsed.value() == text else f"{key}={quoted(text)}"


def as_typed(text: str) -> str:
    """An argument of the command line, with quotes around the path of an existing file.

    Names of run directories contain ``=`` and commas, which have a meaning in Hydra.

    Args:
        text: e.g. ``start_from=outputs/0_optimizer=sgd,seed=0``. It is returned unchanged if it is
            not an override of one of `PATH_KEYS` or names no existing file.

    Raises:
        InputError: the argument is not UTF-8 text.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{text}: should be UTF-8 text") from None
    key, _, value = text.partition("=")
    named = key.lstrip("+") in PATH_KEYS and value != "null" and kind_of(Path(value)) is not None
    return as_override(key, value) if value and named else text


def check_spaces(words: Sequence[str]) -> None:
    """Check that no override was split by spaces around its ``=``.

    Raises:
        InputError: an override was split; the message shows it as it should be.
    """
    for position, (word, following) in enumerate(pairwise(words)):
        apart = following.startswith("=") or (word.endswith("=") and "=" not in following)
        if apart and word:
            rest = words[position + 2 : position + 3] if following == "=" else []
            parts = [word, following, *rest]
            joined = "".join(parts)
            raise InputError(f"{' '.join(parts)}: should be {joined}, without spaces around =")


def explain(error: BaseException) -> str:
    """An error of Hydra or OmegaConf in one line: the key, its first line and that of its cause."""
    lines = [first_line(error), first_line(error.__cause__)]
    key = getattr(error, "full_key", None)
    if key and key not in lines[0]:
        lines.insert(0, str(key))
    return ": ".join(dict.fromkeys(line for line in lines if line))


@contextmanager
def composition_errors_explained() -> Iterator[None]:
    """Context in which an error of Hydra or OmegaConf becomes an InputError of one line."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(explain(error)) from error
