"""Check that networks can be stacked: they may differ only in the values of their tensors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import zip_longest
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def difference(networks: Sequence[nn.Module]) -> str | None:
    """Describe the first difference of networks but the values of parameters and buffers, or None.

    A difference is one in a layer, in the shape or dtype of a tensor or whether it is trained, or
    in a plain attribute: a number, a text, a function, a tensor that is no buffer, or a collection
    of such.
    """
    differences = (_difference(networks[0], other) for other in networks[1:])
    return next(filter(None, differences), None)


def _difference(left: nn.Module, right: nn.Module) -> str | None:
    of_both = [[(path, type(layer)) for path, layer in n.named_modules()] for n in (left, right)]
    for mine, others in zip_longest(*of_both):
        if mine != others:
            return f"layers ({_layer(mine)}, {_layer(others)})"
    for kind in ("parameters", "buffers"):
        tensors = [list(getattr(n, f"named_{kind}")()) for n in (left, right)]
        for mine, others in zip_longest(*tensors):
            if _tensor(mine) != _tensor(others):
                return f"{kind} ({_tensor(mine)}, {_tensor(others)})"
    layers = dict(right.named_modules())
    for path, layer in left.named_modules():
        for name, value in vars(layer).items():
            if name not in _OF_EVERY_MODULE and not _alike(value, vars(layers[path]).get(name)):
                return f"{path}.{name}".lstrip(".") + ", which is no buffer"
    return None


def _layer(named: tuple[str, type] | None) -> str:
    return "none" if named is None else f"{named[0]} {named[1].__name__}".strip()


def _tensor(named: tuple[str, Tensor] | None) -> str:
    if named is None:
        return "none"
    name, tensor = named
    dtype = str(tensor.dtype).removeprefix("torch.")
    frozen = "" if tensor.requires_grad or not isinstance(tensor, nn.Parameter) else " frozen"
    return f"{name} {list(tensor.shape)} {dtype}{frozen}"


def _alike(left: Any, right: Any) -> bool:
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return torch.equal(left, right)
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return np.array_equal(left, right)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(_alike, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_alike(left[k], right[k]) for k in left)
    if isinstance(left, _PLAIN) and isinstance(right, _PLAIN):
        return bool(left == right)
    if isinstance(left, FunctionType) and isinstance(right, FunctionType):
        return left.__code__ is right.__code__ and _alike(_bound(left), _bound(right))
    if isinstance(left, partial) and isinstance(right, partial):
        parts = ((side.func, side.args, side.keywords) for side in (left, right))
        return _alike(*parts)
    if isinstance(left, BuiltinFunctionType) and isinstance(right, BuiltinFunctionType):
        return left is right
    # Other objects are taken to be alike if their classes are.
    return type(left) is type(right)


def _bound(function: FunctionType) -> list[Any]:
    """Values that a function keeps from its definition: closure and defaults."""
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    return [cells, function.__defaults__, function.__kwdefaults__]
