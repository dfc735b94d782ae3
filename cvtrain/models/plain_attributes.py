"""What a network keeps outside of its parameters and buffers, and so does not stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def differing_attribute(networks: Sequence[nn.Module]) -> str | None:
    """The dotted name of a first attribute in which networks of one architecture differ: a number,
    a text, a tensor that is no buffer, or a collection of such; None where there is none."""
    first = networks[0]
    for other in networks[1:]:
        layers = dict(other.named_modules())
        for path, layer in first.named_modules():
            for name, value in vars(layer).items():
                if name not in _OF_EVERY_MODULE and not _alike(value, vars(layers[path]).get(name)):
                    return f"{path}.{name}".lstrip(".")
    return None


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
    # Of other objects nothing is known: two instances of one class may well do the same.
    return type(left) is type(right)
