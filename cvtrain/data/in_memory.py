"""Data in the memory of a caller, registered under a name that a configuration can hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from cvtrain.config.python_objects import path_of, registered
from cvtrain.data.adoption import as_array, as_dataset
from cvtrain.data.arrays import arrays
from cvtrain.data.dataset import Dataset
from cvtrain.data.split import Split
from cvtrain.process.errors import InputError


def data_target(data: Any) -> str:
    """Register data of this process and return their `_target_`.

    Args:
        data: a function or class that makes data (see `cvtrain.data.adoption.as_dataset`), or the
            result of such a function; or arrays or tensors with samples along the first axis: a
            pair of inputs and targets, or inputs, targets and weights; inputs may be a tuple.

    Raises:
        InputError: `data` is none of these.
    """
    if callable(data) and not isinstance(data, Dataset):
        return path_of(data)
    several = isinstance(data, tuple | list)
    # Three tuples of tensors may be three data sets; three arrays are inputs, targets and weights.
    if several and (len(data) == 2 or (len(data) == 3 and all(map(_is_array, data[1:])))):
        chosen = _arrays(data)
        arrays = [*chosen["inputs"], *(chosen[k] for k in ("targets", "weights") if k in chosen)]
        content = [part for a in arrays for part in (str((a.dtype, a.shape)).encode(), _bytes(a))]
        return registered(arrays_in_memory(chosen), "arrays", *content)
    try:
        made = as_dataset(data, torch.complex64, weighted=None)
    except ValueError as error:
        raise InputError(f"data: {error}, a pair of arrays, or a function that makes one") from None
    splits = (made.first, made.train, made.validation, made.test)
    content = [
        _bytes(as_array(tensor))
        for split in splits
        if isinstance(split, Split)  # others are on disk, where they may be large
        for tensor in split.tensors
    ]

    def ready(*, dtype: torch.dtype, weighted: bool = False) -> Dataset:
        return as_dataset(data, dtype, weighted)

    return registered(ready, type(data).__name__, *content)


def arrays_in_memory(chosen: Mapping[str, Any]) -> Callable[..., Dataset]:
    """`cvtrain.data.arrays.arrays` applied to inputs, targets and optional weights in memory."""
    function = partial(arrays, **chosen)
    function.__name__ = "arrays"  # type: ignore[attr-defined]  # for errors; a partial has none
    return function


def _arrays(data: Sequence[Any]) -> dict[str, Any]:
    """Name the items of a tuple of inputs, targets and optional weights.

    Raises:
        InputError: `data` are not such arrays, or have different lengths.
    """
    try:
        inputs = data[0] if isinstance(data[0], tuple) else (data[0],)
        made = [as_array(value) for value in (*inputs, *data[1:])]
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"data: should be a pair of arrays: {error}") from None
    if any(not array.ndim or len(array) != len(made[0]) for array in made):
        kinds = [*(["inputs"] * len(inputs)), "targets", "weights"]
        shapes = [f"{kind} {list(a.shape)}" for kind, a in zip(kinds, made, strict=False)]
        raise InputError(
            f"data: {', '.join(shapes[:-1])} and {shapes[-1]} should have the same number of"
            " samples along their first axis"
        )
    named = zip(("targets", "weights"), made[len(inputs) :], strict=False)
    return {"inputs": tuple(made[: len(inputs)]), **dict(named)}


def _is_array(value: Any) -> bool:
    return isinstance(value, torch.Tensor | np.ndarray)


def _bytes(array: np.ndarray[Any, Any]) -> bytes:
    return np.ascontiguousarray(array).tobytes()
