"""Hydra's composition, made quick for many points and clear in its errors.

Hydra composes a point in about 100 ms. Points of a sweep mostly differ in values, not in the files
they are made of, so each distinct set of group choices is composed once and values are applied to
copies of it by Hydra's own function.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, ValueType
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from cvtrain.config.sweep_size import check_axis
from cvtrain.process.errors import InputError, first_line
from cvtrain.process.regular_file import kind_of

CONFIG_NAME = "config"
PATH_KEYS = ("resume", "start_from", "data.path")
QUOTING = "\"key='a=b'\""
MOST_CHARACTERS = 10_000
"""Of an override: the parser takes seconds for so many."""
MOST_KEY_CHARACTERS = 200
"""Of a key, which is looked for as a group's folder: a file system takes some 255."""
MOST_DEPTH = 20
"""Of lists and mappings inside each other: OmegaConf walks through them by recursion."""
SHOWN = 60
"""Characters of an override that is too long, in the line on it."""


def configuration_folder() -> str:
    """conf/ as installed in the package, or beside it in a source tree."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / f"{CONFIG_NAME}.yaml").is_file():
            return str(folder)
    raise FileNotFoundError(f"no conf/{CONFIG_NAME}.yaml in {package} or beside it")


def _learning_rate(reference: float, octave: float) -> float:
    return float(reference * 2.0**octave)


RESOLVERS: Mapping[str, Callable[..., Any]] = MappingProxyType({"learning_rate": _learning_rate})
"""The functions that conf/ uses, without those of experiments (`cvtrain.experiments.registry`).

``${learning_rate:reference_lr,lr_octave}`` is reference_lr · 2^lr_octave.
"""


def register_resolvers(
    resolvers: Mapping[str, Callable[..., Any]], *, replace: bool = True
) -> None:
    """Make functions known to OmegaConf by their names, instead of others where `replace`."""
    for name, function in resolvers.items():
        if replace or not OmegaConf.has_resolver(name):
            OmegaConf.register_new_resolver(name, function, replace=True)


# Whoever imports this into an application of Hydra's keeps resolvers of the same names.
register_resolvers(RESOLVERS, replace=False)


@cache
def parse_override(text: str) -> Override:
    """One override, parsed.

    Raises:
        InputError: the text is not an override, or one that no sweep has room for.
    """
    override = _parsed(text)
    if not override.key_or_group:
        raise InputError(f"{text}: there is no key; overrides are key=value, group=option, key=a,b")
    if len(override.key_or_group) > MOST_KEY_CHARACTERS:
        raise InputError(f"{text[:SHOWN]}…: no such key")
    if override.is_delete() and override.is_sweep_override():
        raise InputError(f"{text}: a key is deleted or swept, not both")
    if override.value_type is ValueType.GLOB_CHOICE_SWEEP:  # it would need the group it is for
        raise InputError(f"{text}: cannot be expanded; list the values")
    if override.is_discrete_sweep():
        check_axis(override)
    return override


def _parsed(text: str) -> Override:
    if len(text) > MOST_CHARACTERS:
        raise InputError(
            f"{text[:SHOWN]}…: {len(text):,} characters; an override has at most"
            f" {MOST_CHARACTERS:,}"
        )
    try:
        override = OverridesParser.create().parse_override(text)
        deep = _depth(override.value()) > MOST_DEPTH
    except HydraException as error:
        reason = first_line(error).partition(" expecting {")[0]
        raise InputError(
            f"{text}: {reason}; overrides are key=value, group=option, key=a,b; a value with one of"
            f" = , ( ) [ ] {{ }} in it needs quotes: {QUOTING}"
        ) from None
    except RecursionError:
        deep = True
    except ValueError as error:  # a number with thousands of digits
        raise InputError(f"{text[:SHOWN]}…: {first_line(error).partition(';')[0]}") from None
    if deep:
        raise InputError(
            f"{text[:SHOWN]}…: brackets stand inside each other at most {MOST_DEPTH} deep"
        )
    return override


def _depth(value: Any) -> int:
    if isinstance(value, ChoiceSweep):
        return max(map(_depth, value.list), default=0)
    inside = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_depth, inside), default=0) if isinstance(value, list | dict) else 0


def quoted(text: str) -> str:
    """`text` as a quoted value of an override, whatever characters it holds."""
    # In a quoted value a backslash is itself, except before a quote.
    escaped = re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + (r"\'" if m[2] else ""), text)
    return f"'{escaped}'"


def as_override(key: str, text: str) -> str:
    """``key=text``, with `text` in quotes only where it needs them."""
    plain = f"{key}={text}"
    try:
        parsed = parse_override(plain)
    except InputError:
        return f"{key}={quoted(text)}"
    return plain if parsed.value() == text else f"{key}={quoted(text)}"


def as_typed(text: str) -> str:
    """An argument of the command line, with the path of something that is there in quotes.

    Names of run directories have ``=`` and commas in them, which mean something to Hydra.

    Args:
        text: e.g. ``start_from=outputs/0_optimizer=sgd,seed=0``; what is no override of one of
            `PATH_KEYS`, or names nothing that is there, is returned as it is.

    Raises:
        InputError: it is no text.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{text}: is not UTF-8, of which every argument should be") from None
    key, _, value = text.partition("=")
    named = key.lstrip("+") in PATH_KEYS and value != "null" and kind_of(Path(value)) is not None
    return as_override(key, value) if value and named else text


class Composer:
    """Composes configurations from lists of overrides, and says what is wrong with them."""

    def __init__(self, loader: ConfigLoader, config_name: str = CONFIG_NAME) -> None:
        self._loader = loader
        self.config_name = config_name
        self._bases: dict[tuple[str, ...], DictConfig] = {}
        self._options: dict[str, list[str]] = {}

    def options(self, group: str) -> list[str]:
        """The choices of a group; empty where there is no such group."""
        if group not in self._options:
            found = self._loader.get_group_options(group, ObjectType.CONFIG)
            self._options[group] = sorted(found)
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
                raise InputError(f"{group}={choice}: no such choice; one of {', '.join(options)}")

    def compose(self, overrides: Sequence[str]) -> dict[str, Any]:
        """The resolved configuration of one point, without Hydra's own node.

        Raises:
            InputError: an override that does not fit the configuration.
        """
        config = self.assemble(overrides)
        try:
            content = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        except MissingMandatoryValue as error:
            raise InputError(f"{error.full_key}: a value is needed") from None
        except OmegaConfBaseException as error:
            raise InputError(f"{error.full_key}: {first_line(error)}") from None
        assert isinstance(content, dict)
        return {str(key): value for key, value in content.items()}

    def assemble(self, overrides: Sequence[str]) -> DictConfig:
        """The configuration with its interpolations and missing values left as they are.

        Raises:
            InputError: an override that does not fit the configuration.
        """
        parsed = [parse_override(text) for text in overrides]
        choices = tuple(o.input_line or "" for o in parsed if self.options(o.key_or_group))
        values = [
            o for o in parsed if not self.options(o.key_or_group) and not o.is_hydra_override()
        ]
        config = copy.deepcopy(self._base(choices))
        for override in values:
            self._apply(override, config)
        return config

    def _base(self, choices: tuple[str, ...]) -> DictConfig:
        if choices not in self._bases:
            for text in choices:
                self.check(parse_override(text))
            try:
                config = self._loader.load_configuration(
                    self.config_name, list(choices), RunMode.RUN
                )
            except (HydraException, OmegaConfBaseException, ValueError) as error:
                raise InputError(explain(error)) from None
            with open_dict(config):
                del config["hydra"]
            self._bases[choices] = config
        return self._bases[choices]

    def _apply(self, override: Override, config: DictConfig) -> None:
        from cvtrain.config.errors import suggestion

        try:
            ConfigLoaderImpl._apply_overrides_to_config([override], config)
        except (HydraException, OmegaConfBaseException) as error:
            key = override.key_or_group
            if not override.is_add() and OmegaConf.select(config, key) is None:
                near = suggestion(key, _keys(config))
                raise InputError(f"{override.input_line}: no such key{near}") from None
            raise InputError(f"{override.input_line}: {explain(error)}") from None


def explain(error: Exception) -> str:
    """A composition error in one line: Hydra's first line, and its cause's."""
    said = [first_line(error), first_line(error.__cause__)]
    return ": ".join(dict.fromkeys(part for part in said if part))


def _keys(config: Any, prefix: str = "") -> list[str]:
    found = []
    for key in config:
        name = f"{prefix}{key}"
        found.append(name)
        node = config._get_node(key)
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_missing():
            found += _keys(node, f"{name}.")
    return found
