"""Reading JSON that anybody may have written: bounded in size and depth, and text throughout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cvtrain.process.errors import InputError, StorageUnavailable, first_line
from cvtrain.process.regular_file import read_regular
from cvtrain.runs.storage_errors import is_unavailable

MOST_BYTES = 1 << 28
DEEPEST = 64
"""Levels of lists and objects; what walks through them afterwards is recursive."""


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        StorageUnavailable: the file system fails.
        InputError: it cannot be read, is no JSON, nests deeper than `DEEPEST`, or holds characters
            that no text has (lone surrogates).
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
            for each in level
            for item in (each.values() if isinstance(each, dict) else each)
            if isinstance(item, dict | list)
        ]
        if not level:
            return
    raise RecursionError
