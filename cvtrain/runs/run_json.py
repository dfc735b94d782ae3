"""run.json: the description and the result of one run, as a declared model with its readers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StrictBool,
    TypeAdapter,
    ValidationError,
    WrapValidator,
    with_config,
)
from typing_extensions import TypedDict

from cvtrain.config.errors import explain_invalid
from cvtrain.config.schema import Config, check_config
from cvtrain.process.errors import InputError
from cvtrain.runs.json_file import NONFINITE, read_json, write_json
from cvtrain.runs.schema_1 import current_content

SCHEMA = 2
READABLE_SCHEMAS = (1, 2)
"""Schemas of run.json, sweep.json and checkpoints that this version reads; see
`cvtrain.runs.schema_1`."""
Engine = Literal["single", "stack"]
Status = Literal["running", "interrupted", "finished", "diverged", "failed", "pruned"]
FILE_NAME = "run.json"
CHECKPOINTS = "checkpoints"
"""Folder of the checkpoints in a run directory."""
LARGEST = 1e300
"""Largest number in a report's computations, such that its double is finite."""


def _read_number(value: Any, check: Callable[[Any], float]) -> float:
    return float(value) if isinstance(value, str) and value in NONFINITE else check(value)


def _check_time(value: str) -> str:
    try:
        if datetime.fromisoformat(value).year > 1970:
            return value
    except ValueError:
        pass
    raise ValueError("should be a date and a time after 1970")


def _check_size(value: float) -> float:
    if abs(value) >= LARGEST:
        raise ValueError(f"should be less than {LARGEST:g}")
    return value


Whole = Annotated[int, Field(strict=True, gt=-(2**63), lt=2**63)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False), AfterValidator(_check_size)]
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Measured = Annotated[Number, WrapValidator(_read_number)]
Time = Annotated[str, AfterValidator(_check_time)]


@with_config(ConfigDict(extra="forbid"))
class RecordedReference(TypedDict):
    """A number that the data set states, e.g. the loss of the best linear network."""

    tag: str
    name: str
    value: Number


@dataclass
class RunRecord:
    """The content of run.json.

    Attributes:
        id: hash of the resolved point (`Config.identity`).
        started: date and time, ISO 8601.
        steps: number of updates made.
        diverged_at: number of updates made when loss, gradient or weights ceased to be usable.
        stopped_at: number of updates made when early stopping or a callback ended the run.
        final: last value of every signal, and the convergence numbers.
        best: best value and its step, by validation metric.
        tested: the weights to which ``test/…`` refers, and with early stopping ``test_best/…``.
        config: the resolved configuration.
        parameters: numbers of trained entries of complex and of real parameters.
        references: numbers that the data set states.
        untrained_loss: validation loss of an output of zero: the logarithm of the number of
            classes, or the power of the targets; None if unknown.
        device: type of the device that trained, e.g. ``cpu``.
        machine: the machine that trained: `processor`, `cores`, `system`, `code_path` (the
            instructions that torch's CPU kernels use) and `gpu`.
        rising: added metrics of which larger values are better.
        samples: numbers of samples of the splits `training`, `validation` and `test`.
        scales: numbers by which `inputs` and `targets` were divided, if they were.
    """

    id: str
    status: Status
    engine: Engine
    stack_size: Whole
    started: Time
    threads: Whole
    versions: dict[str, str]
    config: dict[str, Any]
    steps: Whole = 0
    parameters: dict[str, Whole] = field(default_factory=dict)
    references: list[RecordedReference] = field(default_factory=list)
    untrained_loss: Positive | None = None
    rising: list[str] = field(default_factory=list)
    device: str | None = None
    machine: dict[str, str] = field(default_factory=dict)
    samples: dict[str, Whole] = field(default_factory=dict)
    scales: dict[str, Number] = field(default_factory=dict)
    diverged_at: Whole | None = None
    stopped_at: Whole | None = None
    final: dict[str, Measured] = field(default_factory=dict)
    best: dict[str, dict[str, Measured]] = field(default_factory=dict)
    tested: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    wall_seconds: Number = 0.0
    schema: int = SCHEMA

    def write(self, directory: Path) -> None:
        """Replace the directory's run.json by this record, atomically."""
        content = {item.name: getattr(self, item.name) for item in fields(self)}  # no deep copies
        write_json(directory / FILE_NAME, content)


RecordedConfig = TypedDict(
    "RecordedConfig",
    {
        "seed": Whole,
        "max_steps": Whole,
        "batch_size": NotRequired[Whole | None],
        "dtype": NotRequired[str],
        "init_jitter": NotNegative,
        "data._target_": str,
        "data.circularity": NotRequired[Number],
        "model._target_": str,
        "objective.loss": NotRequired[str],
        "objective.scale": Positive,
        "convention.scale": Positive,
        "convention.conjugate": StrictBool,
        "clip.kind": str,
        "optimizer._target_": str,
        "optimizer.lr": Positive,
        "optimizer.reference_lr": NotRequired[Positive],
        "optimizer.semantics": NotRequired[str],
        "goal.metric": NotRequired[str | None],
        "goal.value": NotRequired[Number | None],
        "report.metric": NotRequired[str | None],
        "report.margin": NotRequired[Positive | None],
        "report.margin_loss": NotRequired[Positive],
        "report.decides_on": NotRequired[Literal["curves", "optimum"]],
        "report.reference": NotRequired[str | None],
        "report.tuning_seeds": NotRequired[Whole],
        "report.max_seeds": NotRequired[Annotated[Whole, Field(ge=1)]],
        "variant": NotRequired[str | None],
        "analysis": NotRequired[str | None],
    },
)
"""The keys of a configuration that a report needs; another version may have written it."""

RECORD: TypeAdapter[RunRecord] = TypeAdapter(RunRecord)
CONFIG: TypeAdapter[RecordedConfig] = TypeAdapter(RecordedConfig)


def read_run(path: Path) -> RunRecord:
    """Read and check a run.json; names are those of the current schema.

    Raises:
        InputError: the file cannot be read, has an unknown schema, or a key is missing or has a
            value that no run writes; the message names the first such key.
    """
    content = read_record(path)
    try:
        record = RECORD.validate_python(content)
    except ValidationError as error:
        raise InputError(f"{path}: {_line(error)}") from None
    try:
        CONFIG.validate_python(dict(flattened(record.config)))
    except ValidationError as error:
        raise InputError(f"{path}: config.{_line(error)}") from None
    return record


def _line(error: ValidationError) -> str:
    (line,) = explain_invalid(error, (), most=1, show=lambda value: f"{value!r:.60}")
    return line


def flattened(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of a nested mapping; lists become tuples, which can be compared."""
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _hashable(value)


def _hashable(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(map(_hashable, value))
    if isinstance(value, Mapping):  # in a list, as for Lightning's callbacks
        return tuple((key, _hashable(item)) for key, item in value.items())
    return value


def load_run_config(directory: Path, trusted: tuple[str, ...] = ()) -> tuple[RunRecord, Config]:
    """Read a run's run.json and its configuration, and check both in full.

    Args:
        directory: directory of the run.
        trusted: packages of the user; entries of the file on trust are ignored.

    Raises:
        InputError: the file is not valid, or its configuration does not match its id.
    """
    path = directory / FILE_NAME
    record = read_run(path)
    # Trust and pauses belong to the command that runs now, not to the one that wrote the file.
    config = check_config(record.config | {"trusted_modules": trusted, "pause_at": None})
    if config.identity != record.id:
        raise InputError(f"{path}: was modified: its configuration does not match its id")
    return record, config


def read_record(path: Path) -> dict[str, Any]:
    """Read a run.json or sweep.json with the names of the current schema.

    Raises:
        InputError: the file is not valid JSON, or has a schema that this version does not read.
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
    """Whether this version reads files of a schema; `schema` is the value in a file."""
    return type(schema) is int and schema in READABLE_SCHEMAS


def last_value(content: Mapping[str, Any], tag: str) -> float | None:
    """The last value of a signal in an unchecked run.json, or None if it has no number.

    Args:
        content: content of the run.json.
        tag: tag of the signal.
    """
    final = content.get("final")
    value = final.get(tag) if isinstance(final, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        # This also reads numbers for which JSON has no token: nan, inf, -inf.
        return float(value)
    except (ValueError, OverflowError):
        return None
