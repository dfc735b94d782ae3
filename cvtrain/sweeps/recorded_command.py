"""The command that a sweep's file records: which overrides are taken from it, and which must be
typed.

A stranger may have written the file. It may choose what is trained among targets that need no
trust. It cannot grant trust, open a connection, read an environment variable, or set a key of Hydra
that names code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from cvtrain.config.compose import CONFIG_NAME, configuration_folder
from cvtrain.config.overrides import parse_override
from cvtrain.config.schema import KEYS_WITHOUT_RESULT
from cvtrain.experiments.registry import RESOLVERS
from cvtrain.process.errors import InputError
from cvtrain.runs.journal import SWEEP_FILE
from cvtrain.runs.run_json import read_record

OF_THE_FIRST_COMMAND = ("resume", "hydra.sweep.dir", "hydra.mode", "pause_at")
"""Keys that are not recorded in the command for resuming."""
TRUSTED, LOGGER = "trusted_modules", "logger"
LAUNCHER = "hydra/launcher"
LAUNCHERS = ("stacked", "basic", "ray", "slurm")
"""Launchers that a file may choose; others may start machines elsewhere."""
OF_HYDRA = (
    "hydra.launcher.max_stack",
    "hydra.launcher.workers",
    "hydra.launcher.cores",
    "hydra.launcher.gpus",
    "hydra.launcher.cluster",
    "hydra.launcher.lease_seconds",
    "hydra.sweeper.search.trials",
    "hydra.sweeper.search.batch",
    "hydra.sweeper.search.seed",
)
"""Keys of Hydra that are taken from a file; others name code that Hydra would execute."""

FOREIGN_INTERPOLATION = re.compile(rf"\$\{{(?!(?:{'|'.join(RESOLVERS)}):|[\w.]+\}})")
"""Beginning of an interpolation that is neither the value of another key nor one of our
resolvers."""


def taken_command(directory: Path, typed: Sequence[str]) -> list[str]:
    """The overrides in a sweep's file, without those that `typed` replaces.

    Args:
        directory: directory of the sweep.
        typed: overrides of the command line. If ``hydra/launcher`` is among them, all recorded
            options of the launcher are left out; the same holds for ``logger``.

    Raises:
        InputError: the file has no command, or one that sets a key that no file may set.
    """
    command = read_record(directory / SWEEP_FILE).get("command")
    if not isinstance(command, list) or not command:
        raise InputError(
            f"resume={directory}: its {SWEEP_FILE} does not name the command; give that beside"
            " resume"
        )
    typed_keys = {parse_override(text).key_or_group for text in typed}
    accepted = []
    for text in map(str, command):
        key = parse_override(text).key_or_group
        if _is_of_launcher(key) and LAUNCHER in typed_keys:
            continue
        if reason_against(text) is None:
            accepted.append(text)
        elif key not in typed_keys and not (is_of_logger(key) and LOGGER in typed_keys):
            raise InputError(
                f"resume={directory}: its command sets {key}, which is not taken from a file"
                f" ({reason_against(text)}); give {_missing(key)} beside resume"
            )
    return accepted


def typed_again(overrides: Sequence[str]) -> list[str]:
    """The overrides of a command that must be typed beside ``resume=`` because a file does not
    supply them: none, some that change no number, or all."""
    needed = {text for text in overrides if reason_against(text) is not None}
    if any(_is_of_launcher(parse_override(text).key_or_group) for text in needed):
        needed |= {text for text in overrides if _is_of_launcher(parse_override(text).key_or_group)}
    if all(changes_no_number(parse_override(text).key_or_group) for text in needed):
        return [text for text in overrides if text in needed]
    return list(overrides)


def reason_against(text: str) -> str | None:
    """The reason why an override is not taken from a file; None if it is."""
    parsed = parse_override(text)
    # `group@package=…` puts a file of one group in the place of another group.
    touched = {_first(parsed.key_or_group), _first(parsed.package or "")}
    if TRUSTED in touched:
        return "which code is trusted is for you to say"
    if LOGGER in touched:
        return "it sends numbers elsewhere"
    if "hydra" in touched and not _is_harmless(parsed):
        return "Hydra may run what it names"
    if FOREIGN_INTERPOLATION.search(text):
        return "it may read environment variables"
    return None


def changes_no_number(key: str) -> bool:
    """Whether a key affects no number of a run."""
    return _first(key) in (*KEYS_WITHOUT_RESULT, "hydra")


def is_of_logger(key: str) -> bool:
    """Whether a key chooses the logger or is an option of it."""
    return _first(key) == LOGGER


def recorded_command(config: DictConfig) -> list[str]:
    """The overrides of the command line, without those that only set directories.

    Args:
        config: configuration with Hydra's node.
    """
    # Not resolved: the value of an environment variable is not part of the command.
    overrides = OmegaConf.to_container(config.hydra.overrides)
    assert isinstance(overrides, dict)
    texts = [str(text) for kind in ("hydra", "task") for text in overrides[kind]]
    return [t for t in texts if parse_override(t).key_or_group not in OF_THE_FIRST_COMMAND]


def configuration_flags(config: DictConfig) -> list[str]:
    """The flags of the command line that chose configuration files, for typing them again.

    Args:
        config: configuration with Hydra's node.
    """
    folders = {
        str(source.provider): str(source.path) for source in config.hydra.runtime.config_sources
    }
    flags = []
    if "command-line" in folders:
        flags += ["--config-dir", folders["command-line"]]
    if folders["main"] != configuration_folder():
        flags += ["--config-path", folders["main"]]
    if config.hydra.job.config_name != CONFIG_NAME:
        flags += ["--config-name", str(config.hydra.job.config_name)]
    return flags


def _is_harmless(parsed: Override) -> bool:
    if parsed.package is not None:
        return False
    if parsed.key_or_group == LAUNCHER:
        return not parsed.is_sweep_override() and parsed.value() in LAUNCHERS
    return parsed.key_or_group in OF_HYDRA


def _is_of_launcher(key: str) -> bool:
    return key == LAUNCHER or key.startswith("hydra.launcher.")


def _missing(key: str) -> str:
    if _is_of_launcher(key):
        return f"{LAUNCHER}=… and its options"
    return f"{key}=…" if changes_no_number(key) else "the whole command"


def _first(key: str) -> str:
    return re.split(r"[./]", key, maxsplit=1)[0]
