"""Resolve the classes and functions that a configuration names, and check their arguments.

Neither a prefix of the path nor a return annotation is a safeguard: torch itself contains functions
that run shell commands, and one that is annotated `-> nn.Module` and executes its arguments. A
`_target_` therefore names a public class (`cvtrain.config.public_targets`), or a class or function
*defined* in a package that the user trusts on this command line.
"""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from cvtrain.config.errors import requirement, suggestion
from cvtrain.config.public_targets import (
    PUBLIC,
    is_own_package,
    is_public,
    own_target,
    public_classes,
)
from cvtrain.config.python_objects import is_registered, registered_object
from cvtrain.process.errors import InputError

ROOTS = ("cvtrain", "torch", "torchcvnn", "lightning", "torchmetrics")
"""Packages with public names that a `_target_` may use."""


def resolve_target(
    key: str,
    path: str,
    expected: type,
    trusted: tuple[str, ...] = (),
    *,
    anything: bool = False,
) -> Any:
    """Import the class or function with the path `path`, if the section `key` may name it.

    Args:
        key: the section, for the error message, e.g. ``model``.
        path: dotted path, e.g. ``torch.nn.Linear``.
        expected: class from which it must derive, or which it must be annotated to return.
        trusted: the user's own packages, whose functions may be named too.
        anything: whether objects of these packages need not fit `expected`, because the caller
            checks their results.

    Raises:
        InputError: the path is neither public nor trusted, does not exist, or is not of the
            expected type.
    """
    setting = f"{key}._target_={path}"
    for name in trusted:
        if not (name.isidentifier() and is_own_package(name)):
            raise InputError(
                f"trusted_modules=[{name}]: should be packages of your own, by their first name"
            )
    parts = path.split(".")
    # A name that begins with two underscores is part of Python's own machinery.
    plain = all(part.isidentifier() and not part.startswith("__") for part in parts)
    if not plain or len(parts) < 2:
        raise InputError(f"{setting}: should be a dotted path such as torch.nn.Linear")
    if is_registered(path):
        return registered_object(setting, path)
    if parts[0] in trusted:
        target = _trusted_target(setting, parts, expected, trusted)
        if not (anything and callable(target)) and not yields(target, expected):
            raise InputError(
                f"{setting}: should be a {expected.__module__.split('.')[0]} {expected.__name__}"
                " class, or a function annotated to return one"
            )
        return target
    if parts[0] not in ROOTS:
        own = is_own_package(parts[0])
        yours = f"; trusted_modules=[{parts[0]}] trusts a package of yours" if own else ""
        raise InputError(
            f"{setting}: should be of a trusted package: {', '.join((*ROOTS, *trusted))}{yours}"
        )
    target = public_classes(expected).get(path) or own_target(path, expected)
    if target is None:
        near = suggestion(path, public_classes(expected)) if parts[0] != "cvtrain" else ""
        raise InputError(
            f"{setting}: should be {PUBLIC[expected.__name__].describe(expected)}, or of a package"
            f" of yours that trusted_modules names{near}"
        )
    return target


def _trusted_target(
    setting: str, parts: list[str], expected: type, trusted: tuple[str, ...]
) -> Any:
    target = _find(setting, parts)
    # A user's module also shows what it imported, which is trusted only under its own name.
    home = str(getattr(target, "__module__", "")).split(".")[0]
    if home not in trusted and not is_public(target, expected):
        raise InputError(
            f"{setting}: should be defined in a trusted package, is in {home or 'no module'}"
        )
    return target


def _find(setting: str, parts: list[str]) -> Any:
    for length in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:length])
        try:
            value: Any = import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and name.startswith(error.name):
                continue
            raise InputError(f"{setting}: importing {name} failed: {error}") from None
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}"
            raise InputError(f"{setting}: importing {name} failed: {reason}") from None
        for part in parts[length:]:
            if not hasattr(value, part):
                near = suggestion(part, dir(value))
                raise InputError(f"{setting}: {name} has no {part}{near}")
            value = getattr(value, part)
        return value
    raise InputError(f"{setting}: there is no module {parts[0]}")


def yields(target: Any, expected: type) -> bool:
    """Whether `target` is a subclass of `expected`, or a function annotated to return one."""
    if inspect.isclass(target):
        return issubclass(target, expected)
    if not inspect.isfunction(target):
        return False
    returned = target.__annotations__.get("return")
    if isinstance(returned, str):
        name = returned.rpartition(".")[2]
        try:
            returned = typing.get_type_hints(target).get("return")
        except (NameError, TypeError, AttributeError):  # names imported only for type checkers
            return name == expected.__name__
    return inspect.isclass(returned) and issubclass(returned, expected)


def check_arguments(
    key: str,
    target: Callable[..., Any],
    arguments: Mapping[str, Any],
    filled_in: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Convert arguments to the types of the target's signature (e.g. a list to a tuple).

    Args:
        key: the section, for the error message.
        target: class or function.
        arguments: keyword arguments from the configuration.
        filled_in: names that the program supplies later and that may therefore be missing.

    Raises:
        InputError: an argument is unknown, missing or of the wrong type, or holds a nested
            `_target_`.
    """
    adapters, required, open_ended = _signature(target)
    checked: dict[str, Any] = {}
    for name, value in arguments.items():
        if isinstance(value, Mapping) and "_target_" in value:
            raise InputError(f"{key}.{name}: should hold no _target_; {key} takes none inside it")
        if name not in adapters:
            if open_ended:
                checked[name] = value
                continue
            names = sorted(set(adapters) - filled_in)
            near = difflib.get_close_matches(name, names, n=1)
            if not near and isinstance(value, Mapping):  # data.args.n=3, as of model.args
                near = [nested for nested in names if nested in value]
            hint = f"did you mean {key}.{near[0]}?" if near else f"it takes {', '.join(names)}"
            raise InputError(
                f"{key}.{name}={value}: {target.__name__} takes no such argument; {hint}"
            )
        converted = _convert(f"{key}.{name}", value, adapters[name])
        if isinstance(value, bool) and not isinstance(converted, bool):  # pydantic's true is 1
            raise InputError(f"{key}.{name}={value}: should be a number, not true or false")
        checked[name] = converted
    missing = sorted(required - set(arguments) - filled_in)
    if missing:
        raise InputError(f"{key}: {target.__name__} needs {', '.join(missing)}")
    return checked


def _convert(setting: str, value: Any, adapter: TypeAdapter[Any] | None) -> Any:
    if adapter is None:
        return value
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        reasons = {requirement(dict(detail)) for detail in error.errors()}
        raise InputError(f"{setting}={value}: should {' or '.join(sorted(reasons))}") from None


@lru_cache
def _signature(
    target: Callable[..., Any],
) -> tuple[dict[str, TypeAdapter[Any] | None], frozenset[str], bool]:
    """A type checker per argument (None if the annotation is not usable); the required names; and
    whether any keyword is accepted."""
    parameters = list(inspect.signature(target).parameters.values())
    function = target.__init__ if inspect.isclass(target) else target
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):  # names imported only for type checkers
        hints = {}
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    adapters = {p.name: _adapter(hints.get(p.name)) for p in named}
    required = frozenset(p.name for p in named if p.default is p.empty)
    return adapters, required, any(p.kind is p.VAR_KEYWORD for p in parameters)


def _adapter(hint: Any) -> TypeAdapter[Any] | None:
    if hint is None or hint is Any:
        return None
    settings = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False)
    try:
        return TypeAdapter(hint, config=settings)
    except Exception:  # an annotation that pydantic cannot check is ignored
        return None
