"""Classes, functions and data of the running Python process as a `_target_`.

An object defined in a notebook has no dotted path from which another process could import it. It
gets a name here, such as ``this_process.MyNet_3f9a1c``, which a configuration may hold like any
other `_target_`. The digits are a hash of the code and the values that it captures, or of the data:
the same object has the same name in another session, a changed one another name.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

from cvtrain.config.object_content import content_of
from cvtrain.config.public_targets import is_own_package
from cvtrain.process.errors import InputError

PACKAGE = "this_process"
"""First part of such a `_target_`."""
DIGITS = 8

_objects: dict[str, Any] = {}


def path_of(value: Callable[..., Any]) -> str:
    """The `_target_` of a class or function: its dotted path if another process can import it from
    there, else a name that only this process knows."""
    module, name = str(getattr(value, "__module__", "")), getattr(value, "__qualname__", "")
    package = module.partition(".")[0]
    # Of other packages a configuration may name classes, and of cvtrain data sets; functions need
    # trust.
    may_be_named = (
        is_own_package(package) or inspect.isclass(value) or module.startswith("cvtrain.data.")
    )
    if module != "__main__" and name.isidentifier() and may_be_named:
        try:
            if getattr(import_module(module), name, None) is value:
                return f"{module}.{name}"
        except ImportError:
            pass
    return registered(value, getattr(value, "__name__", type(value).__name__), *content_of(value))


def registered(value: Any, name: str, *content: bytes) -> str:
    """Register an object under a name that only this process knows.

    Args:
        value: the object.
        name: readable part of the name.
        content: bytes that are hashed.

    Returns:
        its `_target_`.
    """
    digest = hashlib.sha256(b"\0".join(content)).hexdigest()[:DIGITS]
    plain = "".join(letter if letter.isalnum() else "_" for letter in name).strip("_") or "object"
    path = f"{PACKAGE}.{plain}_{digest}"
    _objects[path] = value
    return path


def registered_object(setting: str, path: str) -> Any:
    """The object that was registered under a `_target_`.

    Args:
        setting: ``key._target_=path``, for the error message.
        path: the `_target_`.

    Raises:
        InputError: this process has no such object.
    """
    if path not in _objects:
        raise InputError(
            f"{setting}: should be defined in this Python process: it is no part of a module, so"
            " pass it to cvtrain.sweep or cvtrain.configure again, as when it was trained"
        )
    return _objects[path]


def is_registered(path: str) -> bool:
    """Whether a `_target_` names an object of a single process."""
    return path.startswith(f"{PACKAGE}.")


def name_of(path: str) -> str:
    """The readable part of the `_target_` of an object of a single process."""
    return path.partition(".")[2].rpartition("_")[0]


def trusted_package(path: str) -> str | None:
    """The package that must be trusted for a `_target_` from `path_of`; None if none must."""
    package = path.partition(".")[0]
    return package if package != PACKAGE and is_own_package(package) else None
