"""Begin many runs as `cvtrain.sweeps.hydra_jobs.HydraJob` begins one job.

Hydra's configuration of a job takes 20 ms and 0.2 MB to copy, and 20 ms more to write. Points with
the same files share one configuration, into which each point's values are set while its run begins.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra._internal.logging_config import configure_logging
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, configure_log
from omegaconf import DictConfig, open_dict

from cvtrain.config.plain_values import texts_in, unresolved
from cvtrain.config.point import Point
from cvtrain.config.values import set_by_hydra, top_level, values_set
from cvtrain.sweeps.config_yaml import config_yaml, section_yaml
from cvtrain.sweeps.hydra_jobs import configured, environment, places
from cvtrain.sweeps.job_composer import JobComposer

OUTPUT, NAME = "${hydra.runtime.output_dir}", "${hydra.job.name}"
"""Interpolations in a job's logging that are replaced without OmegaConf."""


@dataclass(frozen=True)
class _Composition:
    """The common part of points with the same choices.

    Attributes:
        config: configuration with Hydra's node; that node has the values of the last point.
        content: the same as plain values, with interpolations unresolved.
        plain_logging: whether the logging of jobs differs only in their directories.
        texts: the YAML of sections of `content` that was written, by their keys.
    """

    config: DictConfig
    content: dict[str, Any]
    plain_logging: bool
    texts: dict[tuple[str, ...], str] = field(default_factory=dict)

    def yaml(self, content: Mapping[str, Any], *path: str) -> str:
        """`config_yaml` of the mapping at a path; sections of `self.content` are converted once."""
        shared: Any = self.content
        for key in path:
            shared = shared[key]
        texts = []
        for key, value in content.items():
            if value is not shared.get(key):
                texts.append(section_yaml(key, value, len(path)))
                continue
            if (*path, key) not in self.texts:
                self.texts[*path, key] = section_yaml(key, value, len(path))
            texts.append(self.texts[*path, key])
        return "".join(texts)


@dataclass(frozen=True)
class _Log:
    """The logging of the run that was begun last.

    Attributes:
        settings: the composed logging, with interpolations.
        name: name of the job.
        directory: run directory.
        handlers: handlers of the root logger.
    """

    settings: Any
    name: str
    directory: str
    handlers: Sequence[logging.Handler]

    def moved_to(self, other: _Log) -> bool:
        """Let the handlers write into the other run's directory, which takes a tenth of the time of
        configuring them.

        Returns:
            whether only the directory differs, in the paths of plain files.
        """
        alike = self.settings is other.settings and self.name == other.name
        if not alike or list(self.handlers) != list(other.handlers) or "loggers" in self.settings:
            return False
        files = [one for one in self.handlers if type(one) is logging.FileHandler]
        consoles = [one for one in self.handlers if type(one) is logging.StreamHandler]
        if len(files) + len(consoles) < len(self.handlers):
            return False
        if any(one.stream not in (sys.stdout, sys.stderr) for one in consoles):
            return False
        paths = [Path(one.baseFilename) for one in files]
        mentioned = sum(OUTPUT in text for text in texts_in(self.settings))
        if mentioned != len(files) or {path.parent for path in paths} - {Path(self.directory)}:
            return False
        for file, path in zip(files, paths, strict=True):
            file.baseFilename = str(Path(other.directory) / path.name)
            earlier = file.setStream(file._open())
            if earlier is not None:
                earlier.close()
        return True


class PointJobs:
    """Begins the runs of points that cvtrain's sweeper has composed.

    Args:
        composer: composer of the sweep's jobs.
        root: the sweep directory.
    """

    def __init__(self, composer: JobComposer, root: Path) -> None:
        self.composer, self._root = composer, root
        self._compositions: dict[tuple[str, ...], _Composition] = {}
        self._log: _Log | None = None

    def environment(self, point: Point) -> dict[str, str]:
        """Environment variables that are set while a point's run trains."""
        _, choices, _ = self.composer.split(point.overrides)
        return environment(self.composer.composition(choices))

    def begin(self, point: Point) -> JobReturn:
        """Make the run directory, write `.hydra/` into it and open its log.

        Returns:
            the job return of the run as far as it is known.
        """
        parsed, choices, values = self.composer.split(point.overrides)
        composition = self._composition(choices)
        lines = [str(o.input_line) for o in parsed if not o.is_hydra_override()]
        with values_set(composition.config, values, set_by_hydra) as config:
            content = composition.content
            if config is not composition.config:
                content = _content(config)
            changed = {key for key in map(top_level, values) if key in config}
            content = content | {key: unresolved(config, key) for key in changed}
            hydra = content.pop("hydra")
            own = self._own(point, parsed, hydra["job"]["config"]["override_dirname"])
            sections = {section: hydra[section] | settings for section, settings in own.items()}
            hydra = hydra | sections
            directory = Path(hydra["runtime"]["output_dir"])
            directory.mkdir(parents=True, exist_ok=True)
            self._open_log(config, own, hydra, composition.plain_logging)
            if hydra["output_subdir"] is not None:
                folder = directory / hydra["output_subdir"]
                folder.mkdir(parents=True, exist_ok=True)
                files = {
                    "config": composition.yaml(content),
                    "hydra": f"hydra:\n{composition.yaml(hydra, 'hydra')}",
                    "overrides": config_yaml(lines),
                }
                for name, text in files.items():
                    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        return JobReturn(overrides=lines, working_dir=str(Path.cwd()))

    def _own(
        self, point: Point, parsed: Sequence[Override], naming: Mapping[str, Any]
    ) -> dict[str, dict[str, Any]]:
        """The values in Hydra's node that belong to one point, by section."""
        task = [override for override in parsed if not override.is_hydra_override()]
        hydra = [str(override.input_line) for override in parsed if override.is_hydra_override()]
        return {
            "sweep": {"dir": str(self._root), "subdir": point.directory},
            "overrides": {
                "hydra": [*self.composer.hydra_overrides, *hydra, *places(point, self._root)],
                "task": [str(override.input_line) for override in task],
            },
            "job": {
                "override_dirname": get_overrides_dirname(overrides=task, **naming),
                "id": str(point.number),
                "num": point.number,
            },
            "runtime": {"output_dir": str(self._root / point.directory)},
        }

    def _open_log(
        self,
        config: DictConfig,
        own: Mapping[str, Mapping[str, Any]],
        hydra: Mapping[str, Any],
        plain: bool,
    ) -> None:
        if plain:
            name, directory = str(hydra["job"]["name"]), hydra["runtime"]["output_dir"]
            log = _Log(hydra["job_logging"], name, directory, logging.root.handlers)
            if self._log is None or not self._log.moved_to(log):
                values = {OUTPUT: directory, NAME: name}
                configure_logging(_filled(hydra["job_logging"], values))
            self._log = replace(log, handlers=[*logging.root.handlers])
            return
        self._log = None
        with open_dict(config.hydra), configured(config):
            for section, settings in own.items():
                config.hydra[section].update(settings)
            configure_log(config.hydra.job_logging, config.hydra.verbose)

    def _composition(self, choices: Sequence[Override]) -> _Composition:
        lines = tuple(override.input_line or "" for override in choices)
        if lines not in self._compositions:
            config = self.composer.composition(choices)
            content = _content(config)
            hydra = content["hydra"]
            plain = hydra["verbose"] is False and _is_plain(hydra["job_logging"])
            self._compositions[lines] = _Composition(config, content, plain)
        return self._compositions[lines]


def _content(config: DictConfig) -> dict[str, Any]:
    return {key: unresolved(config, key) for key in map(str, config)}


def _is_plain(logging: Any) -> bool:
    """Whether logging is configured, with no interpolations other than `OUTPUT` and `NAME` in its
    values."""
    texts = " ".join(texts_in(logging)).replace(OUTPUT, "").replace(NAME, "")
    complete = isinstance(logging, dict) and logging.get("root") is not None
    return complete and not any(part in texts for part in ("${", "\\", "???"))


def _filled(content: Any, values: Mapping[str, str]) -> Any:
    """A copy of the content with `values` in place of their interpolations."""
    if isinstance(content, dict):
        return {key: _filled(value, values) for key, value in content.items()}
    if isinstance(content, list):
        return [_filled(value, values) for value in content]
    if isinstance(content, str):
        for interpolation, value in values.items():
            content = content.replace(interpolation, value)
    return content
