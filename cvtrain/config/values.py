"""Set values of overrides in a composed configuration as Hydra does."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.types import Override
from omegaconf import Container, DictConfig, Node
from omegaconf._utils import split_key


@contextmanager
def values_set(
    config: DictConfig,
    overrides: Sequence[Override],
    set_value: Callable[[Override, DictConfig], None],
) -> Iterator[DictConfig]:
    """Context that yields the configuration with the values of `overrides`.

    It is `config` itself, whose own values are restored afterwards, or a copy if an override
    reaches through an interpolation or deletes a key. Copying a configuration takes 6 ms, a section
    1 ms, a value 0.05 ms.

    Args:
        config: configuration without overrides.
        overrides: overrides that set values; none chooses a file.
        set_value: function that sets one value: `set_by_hydra`, or one that explains its errors.
    """
    if not all(_stays_below_its_key(config, override) for override in overrides):
        copied = copy.deepcopy(config)
        for override in overrides:
            set_value(override, copied)
        yield copied
        return
    # OmegaConf copies every value that is assigned to a key; the nodes below it are exchanged.
    whole = {top_level(override) for override in overrides if _leaf(config, override) is None}
    places = {(id(config), key): (config, key) for key in whole}
    for override in overrides:
        leaf = _leaf(config, override)
        if leaf is not None and top_level(override) not in whole:
            places[id(leaf[0]), leaf[1]] = leaf
    before = [
        (parent.__dict__["_content"], key, parent._get_node(key, validate_access=False))
        for parent, key in places.values()
    ]
    try:
        for nodes, key, node in before:
            if node is not None:
                nodes[key] = copy.deepcopy(node)
        for override in overrides:
            set_value(override, config)
        yield config
    finally:
        for nodes, key, node in before:
            if node is None:
                nodes.pop(key, None)
            else:
                nodes[key] = node


def set_by_hydra(override: Override, config: DictConfig) -> None:
    """Set one value as Hydra sets it."""
    ConfigLoaderImpl._apply_overrides_to_config([override], config)


def top_level(override: Override) -> str:
    """The top-level key in which an override changes a value."""
    return str(split_key(override.key_or_group)[0])


def _leaf(config: DictConfig, override: Override) -> tuple[DictConfig, str] | None:
    """Section and key of the value that an override changes; None if it adds a key or changes a
    whole section or list."""
    *path, last = split_key(override.key_or_group)
    node: Any = config
    for part in path:
        node = node._get_node(part, validate_access=False)
        if not isinstance(node, DictConfig) or node._is_none() or node._is_missing():
            return None
    value = node._get_node(last, validate_access=False)
    plain = isinstance(value, Node) and not isinstance(value, Container)
    return (node, last) if plain and not isinstance(override.value(), dict | list) else None


def _stays_below_its_key(config: DictConfig, override: Override) -> bool:
    """Whether setting a value changes only its top-level node, and keeps the order of keys."""
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
