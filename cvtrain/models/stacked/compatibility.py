"""Check that networks can be stacked: they may differ only in the values of their tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from cvtrain.models.object_state import content_of

_OF_EVERY_MODULE = frozenset({*vars(nn.Module()), "_compiled_call_impl"})  # a copy lacks the latter
_OF_RECURRENT_LAYERS = frozenset({"_flat_weights", "_flat_weight_refs"})
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_WRITING_HOOKS: dict[type, str] = {SpectralNorm: "spectral_norm", WeightNorm: "weight_norm"}


def difference(networks: Sequence[nn.Module]) -> str | None:
    """Describe the first difference in the layers or tensors of networks, or None.

    Networks differ if a layer, or the shape, dtype or `requires_grad` of a tensor differs; values
    of tensors may differ.
    """
    differences = (_difference(networks[0], other) for other in networks[1:])
    return next(filter(None, differences), None)


def unstackable(network: nn.Module) -> str | None:
    """The reason why a single network cannot be stacked, or None.

    Reasons are a weight that a hook of ``torch.nn.utils`` computes, and a hook that holds a layer,
    a parameter or a buffer in its closure.
    """
    own = _own(network)
    for path, layer in network.named_modules():
        hooks = [*layer._forward_pre_hooks.values(), *layer._forward_hooks.values()]
        for hook in hooks:
            if (name := _WRITING_HOOKS.get(type(hook))) is not None:
                return (
                    f"torch.nn.utils.{name} of {path or type(network).__name__} writes its weight"
                    f" in each forward (torch.nn.utils.parametrizations.{name} can be stacked)"
                )
            if (tensor := next(_held(hook, own), None)) is not None:
                return f"a hook of {path or type(network).__name__} holds {tensor} in its closure"
    return None


def individual_attributes(networks: Sequence[nn.Module]) -> dict[tuple[str, str], str]:
    """Attributes of layers that a forward common to all networks must not read, with the reason.

    These are plain attributes in which the networks differ (a number, a text, a function, a tensor
    that is not a buffer, a collection of these), and attributes that hold parameters or buffers of
    the network or functions of its layers, which a stack cannot replace.

    Returns:
        a reason for each, by path of the layer and name of the attribute.
    """
    first, *others = networks
    own = _own(first)
    layers = [dict(network.named_modules()) for network in others]
    reasons: dict[tuple[str, str], str] = {}
    for path, layer in first.named_modules():
        for name, value in _attributes(layer).items():
            shown = f"{path}.{name}".lstrip(".")
            if (tensor := next(_held(value, own), None)) is not None:
                reasons[path, name] = f"the network holds {tensor} in {shown}"
            elif not all(_alike(value, vars(other[path]).get(name)) for other in layers):
                reasons[path, name] = f"the networks differ in {shown}"
    return reasons


def names_attribute(layer: nn.Module, attribute: str) -> bool:
    """Whether the code of a layer's forward contains the name of an attribute."""
    forward = type(layer).forward
    return isinstance(forward, FunctionType) and attribute in forward.__code__.co_names


def is_compiled(layer: nn.Module) -> bool:
    """Whether a layer is the wrapper of ``torch.compile``, which `vmap` calls without compiling."""
    return "dynamo_ctx" in vars(layer)


def _attributes(layer: nn.Module) -> dict[str, Any]:
    if is_compiled(layer):
        return {}
    known = _OF_EVERY_MODULE
    if isinstance(layer, nn.RNNBase):
        known = known | _OF_RECURRENT_LAYERS
    return {name: value for name, value in vars(layer).items() if name not in known}


def _own(network: nn.Module) -> dict[int, str]:
    """Names of a network's layers, parameters and buffers by their identity."""
    return {
        id(part): name or type(network).__name__
        for named in (network.named_buffers, network.named_parameters, network.named_modules)
        for name, part in named()
    }


def _held(
    value: Any, own: Mapping[int, str], function: bool = False, seen: frozenset[int] = frozenset()
) -> Iterator[str]:
    """Names of the tensors and layers in `own` that `value` still refers to after it is copied.

    A copy of a layer, of a bound method or of a collection refers to the copied network. A tensor
    is replaced in the layer only, and functions are not copied.

    Args:
        value: value of an attribute.
        own: names of a network's layers, parameters and buffers by identity.
        function: whether a function holds the value.
        seen: identities of the objects that hold the value, to end circles.
    """
    if (function or isinstance(value, Tensor)) and id(value) in own:
        yield own[id(value)]
    if id(value) in seen:
        return
    if isinstance(value, FunctionType):
        parts, function = _bound(value), True
    elif isinstance(value, MethodType):
        parts = [value.__self__]
    elif isinstance(value, partial):
        parts = [value.func, value.args, value.keywords]
    elif isinstance(value, list | tuple):
        parts = list(value)
    elif isinstance(value, dict):
        parts = list(value.values())
    else:
        return
    for part in parts:
        yield from _held(part, own, function, seen | {id(value)})


def _difference(left: nn.Module, right: nn.Module) -> str | None:
    of_both = [[(path, _kind(layer)) for path, layer in n.named_modules()] for n in (left, right)]
    for mine, others in zip_longest(*of_both):
        if mine != others:
            return f"layers ({_layer(mine)}, {_layer(others)})"
    for kind in ("parameters", "buffers"):
        tensors = [list(getattr(n, f"named_{kind}")()) for n in (left, right)]
        for mine, others in zip_longest(*tensors):
            if _tensor(mine) != _tensor(others):
                return f"{kind} ({_tensor(mine)}, {_tensor(others)})"
    return None


def _kind(layer: nn.Module) -> type:
    """The class of a layer, without the class that torch creates for each layer with
    parametrizations; these are layers themselves."""
    return type_before_parametrizations(layer)


def _layer(named: tuple[str, type] | None) -> str:
    return "none" if named is None else f"{named[0]} {named[1].__name__}".strip()


def _tensor(named: tuple[str, Tensor] | None) -> str:
    if named is None:
        return "none"
    name, tensor = named
    dtype = str(tensor.dtype).removeprefix("torch.")
    frozen = "" if tensor.requires_grad or not isinstance(tensor, nn.Parameter) else " frozen"
    return f"{name} {list(tensor.shape)} {dtype}{frozen}"


def _alike(left: Any, right: Any, seen: frozenset[int] = frozenset()) -> bool:
    """Whether two attributes are equal, as far as their types allow a comparison.

    Args:
        left, right: the attributes.
        seen: identities of the objects that hold `left`, to end circles.
    """
    if id(left) in seen:
        return True
    alike = partial(_alike, seen=seen | {id(left)})
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return torch.equal(left, right)
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return np.array_equal(left, right)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(alike, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(alike(left[k], right[k]) for k in left)
    if isinstance(left, _PLAIN) and isinstance(right, _PLAIN):
        return bool(left == right)
    if isinstance(left, FunctionType) and isinstance(right, FunctionType):
        return left.__code__ is right.__code__ and alike(_bound(left), _bound(right))
    if isinstance(left, partial) and isinstance(right, partial):
        parts = ((side.func, side.args, side.keywords) for side in (left, right))
        return alike(*parts)
    if isinstance(left, BuiltinFunctionType) and isinstance(right, BuiltinFunctionType):
        return left is right
    # Other objects are considered alike if their classes are.
    return type(left) is type(right)


def _bound(function: FunctionType) -> list[Any]:
    """Values that a function captures at its definition: closure and defaults."""
    cells = [content_of(cell) for cell in function.__closure__ or ()]
    return [cells, function.__defaults__, function.__kwdefaults__]
