"""Make the function that a section calls from the class or function that it names."""

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
    """The function that a section calls with `leading` arguments.

    A class is called with the configured arguments and must return such a function; so is a
    function that is annotated to return an `expected`. Any other function is the result itself,
    with the configured arguments bound.

    Args:
        key: the section, for the error message.
        target: class or function that the section names.
        arguments: configured arguments by name.
        expected: class that a function must be annotated to return in order to be called first.
        leading: the arguments of the result, in words.
        filled_in: arguments that the target gets if its signature has them.

    Raises:
        InputError: the target rejects an argument, or its result cannot be called.
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
    return made  # type: ignore[no-any-return]  # its results are checked by the caller


def construct(
    key: str, target: Callable[..., Any], arguments: Mapping[str, Any], fills: Mapping[str, Any]
) -> Any:
    """Call a class or function with arguments.

    Raises:
        InputError: it rejects one of them.
    """
    checked = check_arguments(key, target, arguments, frozenset(fills))
    try:
        return target(**{**fills, **checked})
    except Exception as error:  # a user's class may raise anything
        raise InputError(
            f"{key}: {target.__name__} refuses its arguments: {describe_error(error)}"
        ) from error
