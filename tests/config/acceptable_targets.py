"""Everything that a `_target_` may name, by its path."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import Any

from cvtrain.config.public_targets import PUBLIC, own_target, public_classes


def acceptable(expected: type) -> dict[str, Callable[..., Any]]:
    """What a slot takes that expects `expected`, the same object under one of its paths."""
    by_path: dict[str, Callable[..., Any]] = dict(public_classes(expected))
    package = PUBLIC[expected.__name__].package
    if package is not None:
        for module_name in [package, *modules_of(package)]:
            for name in dir(import_module(module_name)):
                path = f"{module_name}.{name}"
                target = own_target(path, expected)
                if target is not None:
                    by_path[path] = target
    return {path: target for target, path in {id(t): (t, p) for p, t in by_path.items()}.values()}


def modules_of(package: str) -> list[str]:
    """The modules of a package, at any depth."""
    folders = import_module(package).__path__
    return [by_path.name for by_path in pkgutil.walk_packages(folders, f"{package}.")]
