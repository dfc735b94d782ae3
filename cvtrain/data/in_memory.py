"""Data that a caller has in memory, as what a configuration names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from pydantic import StrictBool

from cvtrain.config.python_objects import path_of, registered
from cvtrain.data.adoption import as_array, as_dataset
from cvtrain.data.arguments import ComplexDtype, Count, Seed, checked_arguments
from cvtrain.data.array_files import InMemory
from cvtrain.data.arrays import HeldOut, drawn_samples
from cvtrain.data.assembly import (
    Parts,
    Preparation,
    Scale,
    TransformName,
    assembled,
    divided,
    recognised,
)
from cvtrain.data.dataset import Dataset
from cvtrain.data.split import Split
from cvtrain.gradients.losses import TaskName
from cvtrain.process.errors import InputError


def data_target(data: Any) -> str:
    """The `_target_` of data of this process.

    Args:
        data: a function or class that makes data (see `cvtrain.data.adoption.as_dataset`), what
            such a function makes, or a pair of arrays or tensors: inputs and targets, with the
            samples along the first axis.

    Raises:
        InputError: it is none of these.
    """
    if callable(data) and not isinstance(data, Dataset):
        return path_of(data)
    if isinstance(data, tuple | list) and len(data) == 2:
        try:
            x, y = map(as_array, data)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"data: should be a pair of arrays: {error}") from None
        if not x.ndim or not y.ndim or len(x) != len(y):
            raise InputError(
                f"data: inputs {list(x.shape)} and targets {list(y.shape)} should have the same"
                " number of samples along their first axis"
            )
        content = [part for a in (x, y) for part in (str((a.dtype, a.shape)).encode(), _bytes(a))]
        return registered(arrays_in_memory(x, y), "arrays", *content)
    try:
        made = as_dataset(data, torch.complex64)
    except ValueError as error:
        raise InputError(f"data: {error}, a pair of arrays, or a function that makes one") from None
    splits = (made.first, made.train, made.validation, made.test)
    content = [
        _bytes(as_array(tensor))
        for split in splits
        if isinstance(split, Split)  # others are on disk, where they may be large
        for tensor in (split.inputs, split.targets)
    ]

    def ready(*, dtype: torch.dtype) -> Dataset:
        return as_dataset(data, dtype)

    return registered(ready, type(data).__name__, *content)


def arrays_in_memory(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> Callable[..., Dataset]:
    """A data function of two arrays, with the arguments of `cvtrain.data.arrays.arrays` that are
    not about files.

    Args:
        x: inputs `[N, ...]`.
        y: targets `[N, ...]`.
    """
    pair = InMemory(x), InMemory(y)

    @checked_arguments
    def arrays(
        *,
        validation: HeldOut = 0.2,
        test: HeldOut = 0.2,
        seed: Seed = 0,
        task: TaskName | None = None,
        relabel: StrictBool = False,
        parts: Parts | None = None,
        transform: TransformName | None = None,
        window: Count = 64,
        scale: Scale = "rms",
        dtype: ComplexDtype,
    ) -> Dataset:
        convert = recognised([pair[1]], dtype, task, relabel)
        draw = partial(drawn_samples, pair, None, seed, convert.task)
        chosen = divided({"train": pair}, validation, test, draw)
        prepare = Preparation(dtype, parts, transform, window)
        return assembled(chosen, prepare, convert, scale=scale, in_memory=True)

    return arrays


def _bytes(array: np.ndarray[Any, Any]) -> bytes:
    return np.ascontiguousarray(array).tobytes()
