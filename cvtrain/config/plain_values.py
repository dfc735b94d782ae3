"""Plain values of a composed configuration, with or without its interpolations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from omegaconf import Container, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cvtrain.config.resolvers import RESOLVERS


@dataclass(frozen=True)
class KnownValues:
    """The values of a composition's top-level keys as plain values, without any override.

    Attributes:
        constants: values of keys without interpolations.
        resolved: values of keys with interpolations; empty if one is neither a reference to another
            key nor a function of such references.
        references: all names that occur in interpolations.
    """

    constants: Mapping[str, Any]
    resolved: Mapping[str, Any]
    references: str

    def unless(self, changed: Set[str]) -> dict[str, Any]:
        """The values that do not change if the values of these keys change."""
        known = {key: value for key, value in self.constants.items() if key not in changed}
        words = set(re.findall(r"\w+", self.references))
        if not words & changed:
            known |= {key: value for key, value in self.resolved.items() if key not in changed}
        return known


def known_values(config: DictConfig) -> KnownValues:
    """Determine the values that a composition's top-level keys have without overrides."""
    constants, opened = dict[str, Any](), dict[str, str]()
    for key in map(str, config):
        value = unresolved(config, key)
        texts = [text for text in texts_in(value) if "${" in text or text == "???"]
        if texts:
            opened[key] = " ".join(texts)
        else:
            constants[key] = value
    references = " ".join(opened.values())
    resolvers = set(re.findall(r"\$\{\s*([\w.]+):", references))
    values = {}
    if resolvers <= set(RESOLVERS) and "???" not in references:
        with suppress(OmegaConfBaseException):  # reported for the point in which it is wrong
            values = {key: resolved(config, key) for key in opened}
    return KnownValues(constants, values, references)


def unresolved(config: DictConfig, key: str) -> Any:
    """The plain value of a key with its interpolations unresolved."""
    node = config._get_node(key)
    if isinstance(node, Container):
        return OmegaConf.to_container(node, enum_to_str=True)
    return None if node is None else node._value()


def texts_in(value: Any) -> Iterator[str]:
    """All texts in a plain value."""
    if isinstance(value, dict | list):
        for inside in value.values() if isinstance(value, dict) else value:
            yield from texts_in(inside)
    elif isinstance(value, str):
        yield value


def resolved(config: DictConfig, key: str) -> Any:
    """The plain value of a key with its interpolations resolved.

    Raises:
        OmegaConfBaseException: a value is missing, or an interpolation cannot be resolved.
    """
    node = config._get_node(key)
    if isinstance(node, Container) and not node._is_interpolation():
        return OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    value = config[key]  # raises if it is missing; resolves an interpolation
    if isinstance(value, Container):
        return OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
    return value
