"""The content of a Python object as bytes for a hash, equal for equal objects of two processes.

For functions and classes it is their code and the values that they capture: default arguments,
closures, and the module variables that the code names. Objects of libraries without attributes are
represented by their text, without addresses.
"""

from __future__ import annotations

import dis
import inspect
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial
from itertools import islice
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

MOST = 200_000
"""Largest number of values that make up an object's content."""
INSTALLED = tuple(Path(sysconfig.get_paths()[key]) for key in ("stdlib", "purelib", "platlib"))

_PLAIN = (str, bytes, int, float, complex, bool, type(None), type(Ellipsis), range, slice)
_OF_PYTHON = re.compile(r"__\w+__|_abc_\w+")
"""Attributes of classes that do not affect behaviour, unless they are functions."""


def content_of(value: Any) -> Iterator[bytes]:
    """The content of an object and of everything that it refers to, at most `MOST` parts."""
    return islice(_parts(value), MOST)


def _parts(value: Any) -> Iterator[bytes]:
    seen: dict[int, int] = {}
    alive = []  # a deleted object could pass its id to the next one
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, bytes):
            yield one
            continue
        if isinstance(one, _PLAIN):
            yield f"{type(one).__name__} {one!r}".encode()
            continue
        # Equal constants may be one object or several; a circle passes through other objects.
        if not isinstance(one, tuple | frozenset | CodeType):
            if id(one) in seen:
                yield f"object {seen[id(one)]}".encode()
                continue
            seen[id(one)] = len(seen)
            alive.append(one)
        waiting += reversed(list(_pieces(one)))


def _pieces(value: Any) -> Iterator[Any]:
    """The parts of an object: bytes, and further objects."""
    yield type(value).__name__.encode()
    function = getattr(value, "__func__", value) if isinstance(value, MethodType) else value
    if isinstance(value, ModuleType):
        yield value.__name__
    elif isinstance(value, CodeType):
        yield from _of_code(value)
    elif isinstance(value, list | tuple):
        yield from value
    elif isinstance(value, set | frozenset):
        yield from sorted(map(repr, value))
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from (repr(key), entry)
    elif isinstance(value, partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, staticmethod | classmethod):
        yield value.__func__
    elif isinstance(value, property):
        yield from (value.fget, value.fset)
    elif isinstance(function, FunctionType):
        yield from _of_function(function)
        yield getattr(value, "__self__", None)
    elif inspect.isclass(value):
        yield from _of_class(value)
    elif hasattr(value, "__array__"):
        yield from _of_array(value)
    else:
        yield type(value)
        attributes = getattr(value, "__dict__", None)
        yield attributes if attributes else re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _of_function(function: FunctionType) -> Iterator[Any]:
    if _is_installed(function.__module__):
        yield f"{function.__module__}.{function.__qualname__}"
        return
    yield from (function.__code__, function.__defaults__, function.__kwdefaults__)
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # a variable without a value
            yield "empty"
    for name in sorted(set(_global_names(function.__code__))):
        if name in function.__globals__:
            yield from (name, function.__globals__[name])


def _of_class(kind: type) -> Iterator[Any]:
    for parent in kind.__mro__:
        if _is_installed(parent.__module__):
            yield f"{parent.__module__}.{parent.__qualname__}"
            continue
        for name, member in sorted(vars(parent).items()):
            if isinstance(member, FunctionType) or not _OF_PYTHON.fullmatch(name):
                yield from (name, member)


def _of_array(value: Any) -> Iterator[Any]:
    """The parts of a tensor or array; its text shows only a few digits of a few entries."""
    tensor = value.detach().cpu().resolve_conj() if hasattr(value, "detach") else value
    yield f"{value.dtype} {tuple(value.shape)}" if hasattr(value, "shape") else ""
    try:
        yield tensor.__array__().tobytes()
    except TypeError:  # a dtype that NumPy lacks
        yield tensor.double().numpy().tobytes()


def _of_code(code: CodeType) -> Iterator[Any]:
    """The instructions of a code object, without file names and line numbers."""
    yield from (code.co_code, code.co_names, code.co_varnames, code.co_consts)


def _global_names(code: CodeType) -> Iterable[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)


@cache
def _is_installed(module: str | None) -> bool:
    """Whether a module belongs to Python, an installed package or cvtrain: its name is then
    enough."""
    package = str(module).partition(".")[0]
    if package == "__main__":
        return False
    if package in sys.stdlib_module_names or package == __name__.partition(".")[0]:
        return True
    file = getattr(sys.modules.get(package), "__file__", None)
    return file is not None and any(Path(file).is_relative_to(folder) for folder in INSTALLED)
