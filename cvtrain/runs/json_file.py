"""JSON files: written atomically, and read safely whoever wrote them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cvtrain.process.errors import InputError, StorageUnavailable, first_line
from cvtrain.process.regular_file import read_regular
from cvtrain.runs.files import write_atomically
from cvtrain.runs.storage_errors import is_unavailable

MOST_BYTES = 1 << 28
DEEPEST = 64
"""Largest depth of lists and objects; later code walks through them recursively."""
NONFINITE = ("nan", "inf", "-inf")
"""Spellings of numbers for which JSON has no token."""


def read_json(path: Path) -> Any:
    """Read the content of a JSON file.

    Raises:
        StorageUnavailable: the file system fails.
        InputError: the file cannot be read, is not JSON, is nested deeper than `DEEPEST`, or holds
            characters that are not text (lone surrogates).
    """
    try:
        text = read_regular(path, MOST_BYTES).decode()
        content = json.loads(text)
        if text.count("[") + text.count("{") > DEEPEST:
            _refuse_depth(content)
        if "\\u" in text:
            json.dumps(content, ensure_ascii=False).encode()
    except OSError as error:
        reason = error.strerror or first_line(error)
        if is_unavailable(error):
            raise StorageUnavailable(f"{path}: cannot be read: {reason}") from error
    except RecursionError:
        reason = "it is nested too deeply"
    except MemoryError:
        reason = "it takes more memory than there is"
    except ValueError as error:
        reason = first_line(error)
    else:
        return content
    raise InputError(f"{path}: cannot be read: {reason}")


def _refuse_depth(content: Any) -> None:
    level = [content] if isinstance(content, dict | list) else []
    for _ in range(DEEPEST):
        level = [
            item
            for parent in level
            for item in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(item, dict | list)
        ]
        if not level:
            return
    raise RecursionError


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write valid JSON atomically, with NaN and infinities as strings."""
    text = json.dumps(spelled(content), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    # A message or a file name may hold bytes that are not text.
    write_atomically(path, lambda file: file.write(text.encode(errors="replace")))


def spelled(value: Any) -> Any:
    """`value` with NaN and infinities as strings, since JSON has no tokens for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, Mapping):
        return {key: spelled(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [spelled(item) for item in value]
    return value
