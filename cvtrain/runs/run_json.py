"""run.json: what one run is and how it ended."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from cvtrain.process.errors import InputError
from cvtrain.runs.files import write_atomically
from cvtrain.runs.json_file import read_json
from cvtrain.runs.schema_1 import current_content

SCHEMA = 2
READABLE_SCHEMAS = (1, 2)
"""Of a run.json, sweep.json or checkpoint. See `cvtrain.runs.schema_1`."""
Engine = Literal["single", "stack"]
Status = Literal["running", "interrupted", "finished", "diverged", "failed", "pruned"]
FILE_NAME = "run.json"
CHECKPOINTS = "checkpoints"
"""The folder of a run directory."""


@dataclass
class RunRecord:
    """The content of run.json.

    Attributes:
        id: hash of the resolved point (`Config.identity`).
        steps: updates made.
        diverged_at: updates made when loss, gradient or weights ceased to be usable.
        stopped_at: updates made when early stopping or a callback ended the run.
        final: last value of every signal, and the convergence numbers.
        best: per validation metric the best value and its step.
        config: the resolved configuration.
        parameters: entries of complex and of real parameters that are trained.
        references: what the data set knows of itself: tag, name and value of each number.
    """

    id: str
    status: Status
    engine: Engine
    stack_size: int
    started: str
    threads: int
    versions: dict[str, str]
    config: dict[str, Any]
    steps: int = 0
    parameters: dict[str, int] = field(default_factory=dict)
    references: list[dict[str, Any]] = field(default_factory=list)
    diverged_at: int | None = None
    stopped_at: int | None = None
    final: dict[str, float] = field(default_factory=dict)
    best: dict[str, dict[str, float]] = field(default_factory=dict)
    error: str | None = None
    wall_seconds: float = 0.0
    schema: int = SCHEMA

    def write(self, directory: Path) -> None:
        """Replace the directory's run.json by this record, atomically."""
        write_json(directory / FILE_NAME, asdict(self))


def spelled(value: Any) -> Any:
    """`value` with NaN and infinities as strings, since JSON has no tokens for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, Mapping):
        return {key: spelled(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [spelled(item) for item in value]
    return value


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write valid JSON atomically."""
    text = json.dumps(spelled(content), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    # A message, or a name of a file, may hold what is no text.
    write_atomically(path, lambda file: file.write(text.encode(errors="replace")))


def read_record(path: Path) -> dict[str, Any]:
    """The content of a run.json or sweep.json, with the names of the current schema.

    Raises:
        InputError: it cannot be read as JSON, or is of a schema that this version does not read.
    """
    content = read_json(path)
    schema = content.get("schema") if isinstance(content, dict) else None
    if not is_readable(schema):
        raise InputError(
            f"{path}: schema={schema!r:.40}: should be"
            f" {' or '.join(map(str, READABLE_SCHEMAS))}, which this version of cvtrain reads"
        )
    return current_content(content) if schema == 1 else dict(content)


def is_readable(schema: object) -> bool:
    """Whether this version reads files of a schema; `schema` is what a file says."""
    return type(schema) is int and schema in READABLE_SCHEMAS


def last_value(content: Mapping[str, Any], tag: str) -> float | None:
    """The last value of a signal.

    Args:
        content: of a run.json, which anybody may have written.
        tag: of the signal.

    Returns:
        None where the content has no number for it.
    """
    final = content.get("final")
    value = final.get(tag) if isinstance(final, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        # This also reads what JSON has no token for: nan, inf, -inf.
        return float(value)
    except (ValueError, OverflowError):
        return None
