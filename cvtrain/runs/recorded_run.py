"""The configuration of a run, read back from its run.json, which a stranger may have written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cvtrain.config.schema import Config, check_config
from cvtrain.process.errors import InputError
from cvtrain.runs.run_json import FILE_NAME, read_record


def load_run_config(
    directory: Path, trusted: tuple[str, ...] = ()
) -> tuple[dict[str, Any], Config]:
    """The content of a run's run.json, and its configuration, checked.

    Args:
        directory: of the run.
        trusted: packages of the user's own: what the file says of them is not taken.

    Raises:
        InputError: there is none, it cannot be used, or its configuration is not that of its id.
    """
    path = directory / FILE_NAME
    record = read_record(path)
    content = record.get("config")
    if not isinstance(content, dict):
        raise InputError(f"{path}: has no configuration")
    # What was to become of that command's runs is not what this one is to do.
    config = check_config(content | {"trusted_modules": trusted, "pause_at": None})
    if config.identity != record.get("id"):
        raise InputError(f"{path}: its configuration is not that of its id; it was changed")
    return record, config
