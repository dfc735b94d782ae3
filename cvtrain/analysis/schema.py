"""What a run.json must hold for a report on it: checked before anything is made of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from cvtrain.process.errors import InputError
from cvtrain.runs.run_json import Status

Check = Callable[[Any], bool]


def is_number(value: Any) -> bool:
    """A finite real number; true and false are none."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) < 1e300 and math.isfinite(value)


def is_whole(value: Any) -> bool:
    """An integer that fits into 64 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def is_text(value: Any) -> bool:
    """A string."""
    return isinstance(value, str)


def _not_negative(value: Any) -> bool:
    return is_number(value) and value >= 0


def _positive(value: Any) -> bool:
    return is_number(value) and value > 0


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _measured(value: Any) -> bool:
    return is_number(value) or value in ("nan", "inf", "-inf")


def _reference(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"tag", "name", "value"}
        and is_text(value["tag"])
        and is_text(value["name"])
        and is_number(value["value"])
    )


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _time(value: Any) -> bool:
    try:
        return datetime.fromisoformat(value).year > 1970
    except (TypeError, ValueError):
        return False


OWN: Mapping[str, Check] = {
    "status": lambda value: value in get_args(Status),
    "id": is_text,
    "engine": is_text,
    "steps": is_whole,
    "diverged_at": _or_none(is_whole),
    "wall_seconds": is_number,
    "started": _time,
    "error": _or_none(is_text),
    "config": lambda value: isinstance(value, dict),
    "final": lambda value: isinstance(value, dict) and all(map(_measured, value.values())),
}
CONFIG: Mapping[str, Check] = {
    "seed": is_whole,
    "max_steps": is_whole,
    "init_jitter": _not_negative,
    "data._target_": is_text,
    "model._target_": is_text,
    "objective.scale": _positive,
    "convention.scale": _positive,
    "convention.conjugate": _flag,
    "clip.kind": is_text,
    "optimizer._target_": is_text,
    "optimizer.lr": _positive,
}
OPTIONAL: Mapping[str, Check] = {
    "optimizer.reference_lr": _positive,
    "optimizer.semantics": is_text,
    "data.circularity": is_number,
    "variant": _or_none(is_text),
    "analysis": _or_none(is_text),
    "goal.metric": _or_none(is_text),
    "goal.value": _or_none(is_number),
    "report.margin": _or_none(_positive),
    "report.tuning_seeds": is_whole,
}


TAKEN = frozenset({"run", "directory", "references", *OWN} - {"config", "final"})
"""Names of what a report has of a run besides its configuration and its signals."""


def check_run(path: Path, content: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Refuse what no run of cvtrain has written.

    Args:
        path: of the run.json.
        content: of it, all that was read.
        config: its configuration under dotted keys.

    Raises:
        InputError: the first key that is missing or has a value of another kind.
    """
    for key, check in OWN.items():
        _require(path, key, content, check)
    for key in (*config, *content["final"]):
        if key in TAKEN:
            raise InputError(f"{path}: {key}: no run has a key or a signal of this name")
    for key, check in CONFIG.items():
        _require(path, key, config, check, "config.")
    for key, check in OPTIONAL.items():
        if key in config:
            _require(path, key, config, check, "config.")
    parameters = content.get("parameters", {})
    if not isinstance(parameters, dict) or not all(map(is_whole, parameters.values())):
        raise InputError(f"{path}: parameters={parameters!r:.60}: is not what a run writes")
    references = content.get("references", [])
    if not isinstance(references, list) or not all(map(_reference, references)):
        raise InputError(f"{path}: references={references!r:.60}: is not what a run writes")


def _require(
    path: Path, key: str, there: Mapping[str, Any], check: Check, prefix: str = ""
) -> None:
    if key not in there:
        raise InputError(f"{path}: {prefix}{key} is missing")
    if not check(there[key]):
        raise InputError(f"{path}: {prefix}{key}={there[key]!r:.60}: is not what a run writes")
