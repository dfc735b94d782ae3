"""Hydra's composition, made fast for many points and with clear errors.

Hydra composes a point in about 100 ms. Most points of a sweep differ in values, not in the files
that they are made of. Each distinct set of group choices is therefore composed once; Hydra's own
function then sets the values of a point in that composition, and the original values are restored
afterwards.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from cvtrain.config.errors import suggestion
from cvtrain.config.overrides import explain, parse_override
from cvtrain.config.plain_values import KnownValues, known_values, resolved
from cvtrain.config.values import set_by_hydra, top_level, values_set
from cvtrain.process.errors import InputError, first_line

CONFIG_NAME = "config"
WITH_ARGUMENTS = ("data", "model", "module", "objective", "optimizer", "scheduler", "trainer")
"""Sections that accept any argument of the class or function that they name."""


def configuration_folder() -> str:
    """The folder conf/: in the installed package, or beside it in a source tree."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / f"{CONFIG_NAME}.yaml").is_file():
            return str(folder)
    raise FileNotFoundError(f"no conf/{CONFIG_NAME}.yaml in {package} or beside it")


class Composer:
    """Composes configurations from lists of overrides, and explains errors.

    Args:
        loader: Hydra's loader; from now on it reads each file once.
        config_name: name of the primary configuration.
        hydra_overrides: overrides of Hydra's own keys that every composition has.
    """

    def __init__(
        self,
        loader: ConfigLoader,
        config_name: str = CONFIG_NAME,
        hydra_overrides: Sequence[str] = (),
    ) -> None:
        _read_files_once(loader)
        self._loader = loader
        self.config_name = config_name
        self.hydra_overrides = list(hydra_overrides)
        self._compositions: dict[tuple[str, ...], DictConfig] = {}
        self._bases: dict[tuple[str, ...], DictConfig] = {}
        self._known: dict[tuple[str, ...], KnownValues] = {}
        self._options: dict[str, list[str]] = {}

    def options(self, group: str) -> list[str]:
        """The choices of a group; empty if there is no such group."""
        if group not in self._options:
            options = self._loader.get_group_options(group, ObjectType.CONFIG)
            self._options[group] = sorted(options)
        return self._options[group]

    def check(self, override: Override) -> None:
        """Check that an override does not name an unknown choice of a group.

        Raises:
            InputError: the choice is unknown; the message lists the group's choices.
        """
        group = override.key_or_group
        options = self.options(group)
        if not options or override.is_delete() or group == "hydra":
            return
        wanted = (
            [str(choice) for choice in override.sweep_iterator()]
            if override.is_discrete_sweep()
            else [override.value()]
        )
        for choice in wanted:
            if str(choice) not in options:
                raise InputError(f"{group}={choice}: should be one of {', '.join(options)}")

    def compose(self, overrides: Sequence[str]) -> dict[str, Any]:
        """The resolved configuration of one point, without Hydra's own node.

        Raises:
            InputError: an override does not fit the configuration.
        """
        choices, values = self._split(overrides)
        base = self._base(choices)
        if choices not in self._known:
            self._known[choices] = known_values(base)
        changed = {top_level(override) for override in values}
        known = self._known[choices].unless(changed)
        with values_set(base, values, self._apply) as config:
            try:
                return {
                    str(key): known[key] if key in known else resolved(config, str(key))
                    for key in config
                }
            except MissingMandatoryValue as error:
                raise InputError(f"{error.full_key}: should have a value") from None
            except OmegaConfBaseException as error:
                raise InputError(f"{error.full_key}: {first_line(error)}") from None

    def assemble(self, overrides: Sequence[str]) -> DictConfig:
        """The configuration with interpolations and missing values left as they are.

        Raises:
            InputError: an override does not fit the configuration.
        """
        choices, values = self._split(overrides)
        with values_set(self._base(choices), values, self._apply) as config:
            return copy.deepcopy(config)

    def _split(self, overrides: Sequence[str]) -> tuple[tuple[str, ...], list[Override]]:
        """Split overrides into those that choose files, as texts, and those that set values of the
        task."""
        parsed = [parse_override(text) for text in overrides]
        choices = tuple(o.input_line or "" for o in parsed if self.options(o.key_or_group))
        return choices, [
            o for o in parsed if not self.options(o.key_or_group) and not o.is_hydra_override()
        ]

    def _base(self, choices: tuple[str, ...]) -> DictConfig:
        if choices not in self._bases:
            for text in choices:
                self.check(parse_override(text))
            try:
                config = self.composition(choices)
            except (HydraException, OmegaConfBaseException, ValueError) as error:
                raise InputError(_fault_of_choice(error, choices)) from None
            base = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
            OmegaConf.set_struct(base, True)
            self._bases[choices] = base
        return self._bases[choices]

    def composition(self, choices: tuple[str, ...]) -> DictConfig:
        """The common part of configurations with these choices of files, including Hydra's own
        node; callers must not change it.

        Raises:
            HydraException, OmegaConfBaseException, ValueError: raised by Hydra.
        """
        if choices not in self._compositions:
            self._compositions[choices] = self._loader.load_configuration(
                self.config_name, [*self.hydra_overrides, *choices], RunMode.RUN
            )
        return self._compositions[choices]

    def with_added_arguments(self, overrides: Sequence[str]) -> list[str]:
        """The overrides, with ``++`` before those that add an argument to a class or function.

        The signature says which arguments exist. A user's network takes them as
        ``model.args.width=4``; a wrong name is rejected with a list of the existing ones.

        Raises:
            InputError: an override does not fit the configuration, or has no effect beside
                ``module=custom``.
        """
        parsed = [parse_override(text) for text in overrides]
        plain = [str(o.input_line) for o in parsed if not o.is_sweep_override()]
        base = self._base(self._split(plain)[0])
        _check_not_replaced(base, parsed)
        keys = set(_keys(base))
        return [
            f"++{text}"
            if override.type is OverrideType.CHANGE
            and not self.options(override.key_or_group)
            and top_level(override) in WITH_ARGUMENTS
            and override.key_or_group not in keys
            else text
            for text, override in zip(overrides, parsed, strict=True)
        ]

    def _apply(self, override: Override, config: DictConfig) -> None:
        try:
            set_by_hydra(override, config)
        except (HydraException, OmegaConfBaseException) as error:
            key = override.key_or_group
            keys = _keys(config)
            if not override.is_add() and key not in keys:
                hint = suggestion(key, keys) or "; --help lists the keys"
                raise InputError(f"{override.input_line}: no such key{hint}") from None
            raise InputError(f"{override.input_line}: {explain(error)}") from None


def _check_not_replaced(base: DictConfig, overrides: Sequence[Override]) -> None:
    """Reject overrides of network and loss beside a LightningModule that replaces both.

    An experiment may set them: a module may be trained in its place.
    """
    chosen = OmegaConf.is_missing(base.module, "_target_") or base.module._target_ is not None
    if not chosen and all(o.key_or_group != "module._target_" for o in overrides):
        return
    for override in overrides:
        key = override.key_or_group
        if key.split(".")[0] in ("model", "objective") and key != "objective.scale":
            raise InputError(
                f"{override.input_line}: should be left out, as module=custom has a network and a"
                " loss of its own, of which objective.scale is the scale"
            )


def _fault_of_choice(error: Exception, choices: Sequence[str]) -> str:
    """Explain an error that Hydra raises when it combines the chosen files, in one line."""
    line = explain(error)
    for text in choices:
        group = re.escape(parse_override(text).key_or_group)
        if re.search(f"Could not override '{group}'", line):
            return f"{text}: should be +{text.lstrip('+')}"
        if re.search(f"Multiple values for {group}", line):
            return f"{text}: should be {text.lstrip('+')}"
    return line


class _FilesReadOnce(CachingConfigRepository):
    """Hydra's files, each read once for all compositions of a command. Hydra itself reads them for
    every composition, which takes a third of its time."""

    def __deepcopy__(self, memo: object) -> CachingConfigRepository:
        return copy.copy(self)  # Hydra copies it for one composition; `cache` is shared by all

    def load_config(self, config_path: str) -> ConfigResult | None:
        """A copy of the file's content, since compositions change what they load."""
        return copy.deepcopy(super().load_config(config_path))

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        """Set other folders (``hydra.searchpath``), in the copy for one composition."""
        self.delegate, self.cache = copy.deepcopy(self.delegate), {}
        self.delegate.initialize_sources(config_search_path)


def _read_files_once(loader: ConfigLoader) -> None:
    if isinstance(loader, ConfigLoaderImpl) and not isinstance(loader.repository, _FilesReadOnce):
        # The attribute has the class as its type, but Hydra only calls the interface.
        loader.repository = _FilesReadOnce(loader.repository)  # type: ignore[assignment]


def _keys(config: Any, prefix: str = "") -> list[str]:
    keys = []
    for key in config:
        name = f"{prefix}{key}"
        keys.append(name)
        node = config._get_node(key)
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_missing():
            keys += _keys(node, f"{name}.")
    return keys
