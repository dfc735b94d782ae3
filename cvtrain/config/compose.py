"""Hydra's composition, made quick for many points and clear in its errors.

Hydra composes a point in about 100 ms. Points of a sweep mostly differ in values, not in the files
they are made of, so each distinct set of group choices is composed once. Hydra's own function then
sets a point's values in that composition, and what was there is put back afterwards.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import Container, DictConfig, OmegaConf
from omegaconf._utils import split_key
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from cvtrain.config.overrides import explain, parse_override
from cvtrain.config.plain_values import KnownValues, known_values, resolved
from cvtrain.process.errors import InputError, first_line

CONFIG_NAME = "config"


def configuration_folder() -> str:
    """conf/ as installed in the package, or beside it in a source tree."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / f"{CONFIG_NAME}.yaml").is_file():
            return str(folder)
    raise FileNotFoundError(f"no conf/{CONFIG_NAME}.yaml in {package} or beside it")


class Composer:
    """Composes configurations from lists of overrides, and says what is wrong with them.

    Args:
        loader: Hydra's; from here on it reads each file once.
        config_name: of the primary configuration.
        hydra_overrides: overrides of Hydra's own keys, which every composition has.
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
        """The choices of a group; empty where there is no such group."""
        if group not in self._options:
            options = self._loader.get_group_options(group, ObjectType.CONFIG)
            self._options[group] = sorted(options)
        return self._options[group]

    def check(self, override: Override) -> None:
        """Refuse an override that names an unknown group choice.

        Raises:
            InputError: with the group's choices.
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
            InputError: an override that does not fit the configuration.
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
                raise InputError(f"{error.full_key}: a value is needed") from None
            except OmegaConfBaseException as error:
                raise InputError(f"{error.full_key}: {first_line(error)}") from None

    def assemble(self, overrides: Sequence[str]) -> DictConfig:
        """The configuration with its interpolations and missing values left as they are.

        Raises:
            InputError: an override that does not fit the configuration.
        """
        choices, values = self._split(overrides)
        with values_set(self._base(choices), values, self._apply) as config:
            return copy.deepcopy(config)

    def _split(self, overrides: Sequence[str]) -> tuple[tuple[str, ...], list[Override]]:
        """The overrides that choose files, as texts, and those that set values of the task."""
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
                raise InputError(explain(error)) from None
            base = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
            OmegaConf.set_struct(base, True)
            self._bases[choices] = base
        return self._bases[choices]

    def composition(self, choices: tuple[str, ...]) -> DictConfig:
        """What configurations with these choices of files have in common, Hydra's own node
        included; callers do not change it.

        Raises:
            HydraException, OmegaConfBaseException, ValueError: of Hydra.
        """
        if choices not in self._compositions:
            self._compositions[choices] = self._loader.load_configuration(
                self.config_name, [*self.hydra_overrides, *choices], RunMode.RUN
            )
        return self._compositions[choices]

    def _apply(self, override: Override, config: DictConfig) -> None:
        from cvtrain.config.errors import suggestion

        try:
            set_by_hydra(override, config)
        except (HydraException, OmegaConfBaseException) as error:
            key = override.key_or_group
            if not override.is_add() and OmegaConf.select(config, key) is None:
                near = suggestion(key, _keys(config))
                raise InputError(f"{override.input_line}: no such key{near}") from None
            raise InputError(f"{override.input_line}: {explain(error)}") from None


class _FilesReadOnce(CachingConfigRepository):
    """Hydra's files, each read once for all compositions of a command: Hydra itself reads them
    anew for each, which takes a third of its time."""

    def __deepcopy__(self, memo: object) -> CachingConfigRepository:
        return copy.copy(self)  # Hydra's copy for one composition; `cache` is for all of them

    def load_config(self, config_path: str) -> ConfigResult | None:
        """A copy of the file's content: compositions change what they load."""
        return copy.deepcopy(super().load_config(config_path))

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        """Look for files elsewhere (``hydra.searchpath``), in the copy for one composition."""
        self.delegate, self.cache = copy.deepcopy(self.delegate), {}
        self.delegate.initialize_sources(config_search_path)


def _read_files_once(loader: ConfigLoader) -> None:
    if isinstance(loader, ConfigLoaderImpl) and not isinstance(loader.repository, _FilesReadOnce):
        # The attribute is typed as the class, of which Hydra calls the interface alone.
        loader.repository = _FilesReadOnce(loader.repository)  # type: ignore[assignment]


@contextmanager
def values_set(
    config: DictConfig,
    overrides: Sequence[Override],
    set_value: Callable[[Override, DictConfig], None],
) -> Iterator[DictConfig]:
    """Inside, the configuration with the values of `overrides`: `config` itself, which has its own
    values again afterwards, or a copy of it where an override reaches through an interpolation or
    deletes a key.

    Copying a configuration takes 6 ms, copying the nodes that change 0.1 ms.

    Args:
        config: without overrides.
        overrides: that set values; none chooses a file.
        set_value: sets one; `set_by_hydra`, or what explains its errors.
    """
    if not all(_stays_below_its_key(config, override) for override in overrides):
        copied = copy.deepcopy(config)
        for override in overrides:
            set_value(override, copied)
        yield copied
        return
    # OmegaConf copies whatever is assigned to a key; the nodes are exchanged below it.
    nodes: dict[Any, Any] = config.__dict__["_content"]
    changed = {top_level(override) for override in overrides}
    before = {key: nodes[key] for key in changed if key in nodes}
    nodes |= {key: copy.deepcopy(node) for key, node in before.items()}
    try:
        for override in overrides:
            set_value(override, config)
        yield config
    finally:
        for key in changed - before.keys():
            nodes.pop(key, None)
        nodes |= before


def set_by_hydra(override: Override, config: DictConfig) -> None:
    """Set one value as Hydra sets it."""
    ConfigLoaderImpl._apply_overrides_to_config([override], config)


def top_level(override: Override) -> str:
    """The top-level key that an override changes something of."""
    return str(split_key(override.key_or_group)[0])


def _stays_below_its_key(config: DictConfig, override: Override) -> bool:
    """Whether setting a value changes its top-level node alone, and leaves the order of keys."""
    if override.is_delete():
        return False
    node: Any = config
    path = split_key(override.key_or_group)
    for depth, part in enumerate(path, start=1):
        if not isinstance(node, DictConfig) or node._is_none() or node._is_missing():
            return not isinstance(node, Container)
        node = node._get_node(part, validate_access=False)
        if node is None:
            return True
        is_container = isinstance(override.value(), dict | list)
        if node._is_interpolation() and (depth < len(path) or is_container):
            return False
    return True


def _keys(config: Any, prefix: str = "") -> list[str]:
    keys = []
    for key in config:
        name = f"{prefix}{key}"
        keys.append(name)
        node = config._get_node(key)
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_missing():
            keys += _keys(node, f"{name}.")
    return keys
