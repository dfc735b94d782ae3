"""Functions of a user's own: what a slot calls, from the class or function that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from inspect import isclass, isfunction, signature
from types import MappingProxyType
from typing import Any

from cvtrain.config.targets import check_arguments, yields
from cvtrain.process.errors import InputError, describe_error


def called_with(
    key: str,
    target: Callable[..., Any],
    arguments: Mapping[str, Any],
    expected: type,
    leading: tuple[str, ...],
    filled_in: Mapping[str, Any] = MappingProxyType({}),
) -> Callable[..., Any]:
    """What a slot calls with `leading` arguments.

    A class is called with the other arguments, as is a function annotated to return an `expected`.
    Any other function is itself what is called.

    Args:
        key: the slot, for the error line.
        target: a class or function that may stand there.
        arguments: from the configuration, by name.
        expected: the class that functions are made of, where they are annotated to.
        leading: what the result is called with, in words.
        filled_in: arguments that a target gets where its signature has them.

    Raises:
        InputError: it refuses an argument, or makes what cannot be called.
    """
    taken = list(signature(target).parameters)
    fills = {name: value for name, value in filled_in.items() if name in taken}
    if isfunction(target) and not yields(target, expected):
        names = frozenset(taken[: len(leading)]) | fills.keys()
        return partial(target, **{**fills, **check_arguments(key, target, arguments, names)})
    made = construct(key, target, arguments, fills)
    if isclass(made) or not callable(made):
        raise InputError(
            f"{key}: {target.__name__} should make what can be called with {' and '.join(leading)},"
            f" makes a {type(made).__name__}"
        )
    return made  # type: ignore[no-any-return]  # its results are checked


def construct(
    key: str, target: Callable[..., Any], arguments: Mapping[str, Any], fills: Mapping[str, Any]
) -> Any:
    """What a class or function makes of arguments.

    Raises:
        InputError: it refuses one of them.
    """
    checked = check_arguments(key, target, arguments, frozenset(fills))
    try:
        return target(**{**fills, **checked})
    except Exception as error:  # whatever a user's class comes up with
        raise InputError(
            f"{key}: {target.__name__} refuses its arguments: {describe_error(error)}"
        ) from error
