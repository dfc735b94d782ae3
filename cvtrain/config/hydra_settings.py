"""Checks of Hydra's own settings before files are made: directories, logging, callbacks.

Hydra reads most of them only when a job starts, and then fails with a traceback.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import configure_log
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, flag_override

from cvtrain.config.overrides import composition_errors_explained, parse_override
from cvtrain.process.errors import InputError, describe_error

OF_A_RUN = ("run", "job", "job_logging", "callbacks")
LOGGING = ("job_logging", "hydra_logging")
SWEEPER = "hydra_plugins.cvtrain_sweeper.CheckedSweeper"
LONGEST_NAME = 255
"""Largest length of a file name in bytes, on the file systems of Linux and macOS."""
SUBDIR = "${hydra.job.num}"
"""The value of `hydra.sweep.subdir` in conf/config.yaml."""


def check_hydra_settings(config: DictConfig) -> None:
    """Check Hydra's node of a composed configuration, and make it the target of ``${hydra:…}``.

    Args:
        config: the whole configuration, with Hydra's node.

    Raises:
        InputError: a setting of Hydra with which no run or sweep can start.
    """
    HydraConfig.instance().set_config(config)
    OmegaConf.set_readonly(config.hydra, False)  # Hydra locks it; directories are added there
    node = config.hydra
    for name in ("sweeper", "launcher"):
        if not isinstance(node[name], DictConfig):
            raise InputError(f"hydra.{name}={node[name]}: should be chosen by hydra/{name}=…")
    for name in map(str, node):
        section = node._get_node(name)
        replaced = isinstance(section, DictConfig) and section._is_interpolation()
        if replaced and not isinstance(node[name], DictConfig):
            raise InputError(f"hydra.{name}={node[name]}: should be set by its keys")
    if node.sweeper.get("_target_") == SWEEPER:
        subdir = node.sweep._get_node("subdir")._value()
        if subdir != SUBDIR:
            raise InputError(
                f"hydra.sweep.subdir={subdir}: should be left out: the directories of runs are"
                " named by what they differ in"
            )
    with composition_errors_explained():
        settings = _as_of_a_job(config)
    for key in ("run", "sweep"):
        if not str(settings[key]["dir"]).strip():
            raise InputError(f"hydra.{key}.dir=: should be the path of a new directory")
    folder = Path(str(settings["output_subdir"] or "."))
    if folder.is_absolute() or ".." in folder.parts:
        raise InputError(f"hydra.output_subdir={folder}: should be a name below the run directory")
    for key, name in {
        "output_subdir": max(folder.parts, key=len, default=""),
        "job.name": f"{settings['job']['name']}.log",
    }.items():
        if len(os.fsencode(name)) > LONGEST_NAME:
            raise InputError(f"hydra.{key}: should be shorter, as no file has a name so long")
    verbose = settings["verbose"]
    if not isinstance(verbose, bool | str | list):
        raise InputError(f"hydra.verbose={verbose}: should be true, false or names of loggers")
    if "/" in str(settings["job"]["name"]):
        raise InputError(f"hydra.job.name={settings['job']['name']}: should have no / in it")
    for name, callback in (settings["callbacks"] or {}).items():
        if not (isinstance(callback, Mapping) and "_target_" in callback):
            raise InputError(f"hydra.callbacks.{name}={callback}: should have a _target_")
    for name in _logging_that_was_typed(settings):
        try:
            for handler in settings[name]["handlers"].values():
                if "filename" in handler:
                    handler["filename"] = f"{tempfile.gettempdir()}/log"
            configure_log(OmegaConf.create(settings[name]), settings["verbose"])
        except Exception as error:  # Python's logging and Hydra may raise anything
            reason = describe_error(error.__cause__ or error)
            raise InputError(f"hydra.{name}: cannot be set up: {reason}") from None


def _as_of_a_job(config: DictConfig) -> dict[str, Any]:
    """Hydra's node with all interpolations resolved, as in a single run or in the first job of a
    sweep, with its output in the folder of temporary files."""
    copied = config.copy()
    with flag_override(copied, ["readonly", "struct"], [False, False]):
        OmegaConf.set_readonly(copied.hydra, False)
        copied.hydra.runtime.output_dir = tempfile.gettempdir()
        if config.hydra.mode != RunMode.MULTIRUN:  # a single run has no number
            for name in OF_A_RUN:
                OmegaConf.to_container(copied.hydra[name], resolve=True)
        copied.hydra.job.num, copied.hydra.job.id = 0, "0"
    settings: dict[str, Any] = OmegaConf.to_container(copied.hydra, resolve=True)  # type: ignore[assignment]  # a mapping node
    return settings


def _logging_that_was_typed(settings: Mapping[str, Any]) -> list[str]:
    keys = {parse_override(text).key_or_group for text in settings["overrides"]["hydra"]}
    return [
        name
        for name in LOGGING
        if any(f"{key}.".replace("/", ".").startswith(f"hydra.{name}.") for key in keys)
    ]
