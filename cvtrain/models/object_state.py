"""The state of Python objects that a function call may change."""

from __future__ import annotations

import itertools
import math
import random
import sys
import sysconfig
import zlib
from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import FunctionType, GeneratorType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._C._functorch import is_batchedtensor
from torch.nn.modules import module as everywhere

LIBRARIES = frozenset({"torch", "torchcvnn", "lightning", "pytorch_lightning", "numpy", "cvtrain"})
"""Libraries whose modules and classes hold no state of a network."""
INSTALLED = tuple(sysconfig.get_paths()[key] for key in ("stdlib", "purelib", "platlib"))

LONGEST = 10_000
"""Largest number of entries of a collection that are compared, from its beginning."""
SAMPLED = 1 << 20
"""Largest number of entries of an array that are compared, evenly spread."""

MOST = 200_000
"""Largest number of values that are compared in total."""

_PLAIN = (bool, int, str, type(None), type(Ellipsis), range, slice)


class _Same:
    """Identity of an object, which is kept alive: otherwise a new object could get the same id."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._value is other._value

    def __hash__(self) -> int:
        return id(self._value)


class _Tokens(dict[str, Hashable]):
    """Comparable values by path. If an object and its class have an attribute of the same name, and
    so of the same path, the value stands for both."""

    def __setitem__(self, path: str, token: Hashable) -> None:
        super().__setitem__(path, (self[path], token) if path in self else token)


class ObjectState:
    """The state of a network and of all objects that its code may reach, at one moment.

    It covers the network's modules, classes, functions and objects: attributes, collections,
    arrays, closures, default arguments, variables of the Python modules that define them, and the
    random states of Python, NumPy and torch. Objects of libraries are compared by identity.
    """

    def __init__(self, owned: Iterable[Tensor], packages: Iterable[str]) -> None:
        self._owned = {id(tensor) for tensor in owned}
        self._packages = frozenset(packages) - LIBRARIES - sys.stdlib_module_names
        self._seen: dict[int, object] = {}
        self._tokens = _Tokens()

    @classmethod
    def of(cls, network: nn.Module, owned: Iterable[Tensor]) -> ObjectState:
        """Record the state of a network without the tensors `owned`, its parameters and buffers."""
        kinds = {kind for layer in network.modules() for kind in type(layer).__mro__}
        state = cls(owned, {kind.__module__.partition(".")[0] for kind in kinds})
        state._look(network, type(network).__name__)
        for hooks in (everywhere._global_forward_hooks, everywhere._global_forward_pre_hooks):
            state._look(hooks, "the hooks of all modules")
        state._tokens["the random numbers of Python"] = hash(random.getstate())
        numpy_state = np.random.get_state(legacy=True)  # noqa: NPY002  # others use it
        state._tokens["the random numbers of NumPy"] = _random_state(numpy_state)
        state._tokens["the random numbers of torch"] = _checksum(torch.get_rng_state().numpy())
        return state

    def first_difference(self, later: ObjectState) -> str | None:
        """Path of the first object in which this and a later state differ, or None."""
        for path, token in self._tokens.items():
            if later._tokens.get(path, _Same(later)) != token:
                return path
        return next((path for path in later._tokens if path not in self._tokens), None)

    def _look(self, value: Any, path: str) -> None:
        if isinstance(value, _PLAIN):
            self._tokens[path] = (type(value), str(value))
        elif isinstance(value, float | complex | np.generic):
            self._tokens[path] = (type(value), repr(value))  # a NaN is the same as itself
        elif isinstance(value, bytes | bytearray):
            self._tokens[path] = zlib.crc32(value)
        elif id(value) in self._owned:
            self._tokens[path] = "its own"
        elif id(value) not in self._seen and len(self._tokens) < MOST:
            self._seen[id(value)] = value
            self._look_into(value, path)

    def _look_into(self, value: Any, path: str) -> None:
        if isinstance(value, Tensor):
            self._tokens[path] = _tensor(value)
        elif isinstance(value, np.ndarray):
            self._tokens[path] = _array(value)
        elif isinstance(value, dict):
            self._mapping(value, path)
        elif isinstance(value, set | frozenset):
            self._tokens[path] = (len(value), frozenset(map(_entry, value)))
        elif isinstance(value, list | tuple | deque):
            self._tokens[path] = len(value)
            for index, entry in enumerate(itertools.islice(value, LONGEST)):
                self._look(entry, f"{path}[{index}]")
        elif isinstance(value, nn.Module):
            self._attributes(vars(value), path)
            self._look(type(value), path)
        elif isinstance(value, FunctionType | MethodType | partial | staticmethod | classmethod):
            self._function(value, path)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, ModuleType):
            self._module(value.__name__)
        else:
            self._object(value, path)

    def _mapping(self, value: Mapping[Any, Any], path: str) -> None:
        self._tokens[path] = len(value)
        for key, entry in itertools.islice(value.items(), LONGEST):
            named = repr(key) if isinstance(key, _PLAIN) else f"{type(key).__name__} {id(key)}"
            self._look(entry, f"{path}[{named}]")

    def _attributes(self, value: Mapping[str, Any], path: str) -> None:
        for name, entry in value.items():
            if name in ("_parameters", "_buffers", "_modules") and isinstance(entry, dict):
                self._attributes(entry, path)
            else:
                self._look(entry, f"{path}.{name}")

    def _function(self, value: Any, path: str) -> None:
        if isinstance(value, MethodType):
            self._look(value.__self__, path)
            self._look(value.__func__, path)
        elif isinstance(value, partial):
            self._look([value.func, value.args, value.keywords], path)
        elif isinstance(value, staticmethod | classmethod):
            self._look(value.__func__, path)
        elif self._is_own(value.__module__):
            name = value.__qualname__
            for free, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
                self._look(content_of(cell), f"{name}.{free}")
            self._look(value.__defaults__, f"{name}()")
            self._look(value.__kwdefaults__, f"{name}()")
            self._attributes(vars(value), name)
            self._module(value.__module__)

    def _class(self, kind: type) -> None:
        for base in kind.__mro__:
            if base is not kind:
                self._look(base, base.__qualname__)
            elif self._is_own(base.__module__):
                self._attributes(_without_private(vars(base)), base.__qualname__)
                self._module(base.__module__)

    def _module(self, name: str) -> None:
        module = sys.modules.get(name)
        if module is not None and self._is_own(name) and id(vars(module)) not in self._seen:
            self._seen[id(vars(module))] = vars(module)
            self._attributes(_without_private(vars(module)), name)

    def _object(self, value: Any, path: str) -> None:
        if isinstance(value, torch.Generator):
            self._tokens[path] = _checksum(value.get_state().numpy())
        elif isinstance(value, random.Random):
            self._tokens[path] = hash(value.getstate())
        elif isinstance(value, np.random.Generator):
            self._tokens[path] = repr(value.bit_generator.state)
        elif isinstance(value, np.random.RandomState):
            self._tokens[path] = _random_state(value.get_state(legacy=True))
        elif isinstance(value, GeneratorType):
            frame = value.gi_frame
            self._tokens[path] = -1 if frame is None else frame.f_lasti
            self._look({} if frame is None else dict(frame.f_locals), path)
        elif isinstance(value, Iterator) and type(value).__module__ in ("builtins", "itertools"):
            self._tokens[path] = (
                repr(value) if isinstance(value, itertools.count) else _remaining(value)
            )
        elif self._is_own(type(value).__module__):
            slots = (
                name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())
            )
            self._attributes({n: getattr(value, n) for n in slots if hasattr(value, n)}, path)
            self._attributes(getattr(value, "__dict__", {}), path)
            self._look(type(value), path)
        else:
            self._tokens[path] = _Same(value)

    def _is_own(self, module: str | None) -> bool:
        """Whether a Python module belongs to the network's packages, or to no installed package."""
        package = (module or "builtins").partition(".")[0]
        if package in LIBRARIES or package in sys.stdlib_module_names:
            return False
        if package in self._packages:
            return True
        file = getattr(sys.modules.get(module or ""), "__file__", None)
        return file is None or not any(Path(file).is_relative_to(folder) for folder in INSTALLED)


def _tensor(value: Tensor) -> Hashable:
    if is_batchedtensor(value):
        return _Same(object())  # it has no content outside of `vmap`
    size = (value.shape, value.dtype, value.requires_grad)
    if value.layout is not torch.strided or value.is_meta:
        return (*size, _Same(value))
    entries = value.detach().resolve_conj().resolve_neg().reshape(-1)
    entries = entries[:: math.ceil(max(1, entries.numel() / SAMPLED))].cpu().contiguous()
    return (*size, _checksum(entries.view(torch.uint8).numpy()))


def _array(value: np.ndarray[Any, Any]) -> Hashable:
    if value.dtype.hasobject:
        return (value.shape, repr(value))
    entries = value.reshape(-1)[:: math.ceil(max(1, value.size / SAMPLED))]
    return (value.shape, str(value.dtype), _checksum(entries))


def _random_state(state: Any) -> Hashable:
    """A comparable value of a state of NumPy's legacy generators; printing the state takes 20
    ms."""
    return tuple(_checksum(part) if isinstance(part, np.ndarray) else part for part in state)


def _checksum(entries: np.ndarray[Any, Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(entries).view(np.uint8).data)


def _entry(value: Any) -> Hashable:
    return (type(value), value) if isinstance(value, _PLAIN) else _Same(value)


def _remaining(iterator: Any) -> Hashable:
    """The remaining items of an iterator, as far as it reveals them."""
    try:
        return repr(iterator.__reduce__()[2:])
    except TypeError:
        return _Same(iterator)


def content_of(cell: Any) -> Any:
    """The content of a cell of a closure, or None if it is not filled yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _without_private(names: Mapping[str, Any]) -> dict[str, Any]:
    """The names without those that Python itself adds."""
    return {name: value for name, value in names.items() if not name.startswith("__")}
