"""Make the data set of a configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import nn

from cvtrain.config.own_code import called_with
from cvtrain.config.schema import Config
from cvtrain.config.sections import TargetConfig
from cvtrain.config.targets import check_arguments, resolve_target
from cvtrain.data.adoption import as_dataset
from cvtrain.data.arrays import arrays
from cvtrain.data.dataset import Dataset, DatasetCache
from cvtrain.data.folders import folders
from cvtrain.process.errors import InputError, describe_error, first_line
from cvtrain.process.user_code import user_place

MOST_KEPT = 2**30
"""Bytes of data sets that a process keeps."""

_cache = DatasetCache(most_bytes=MOST_KEPT)


def forget_datasets() -> None:
    """Empty the cache of data sets: a function redefined in a notebook may return different
    data."""
    _cache.clear()


def load_dataset(config: Config) -> Dataset:
    """The data set of a configuration.

    A process builds it once for equal `data` sections, and caches data sets of up to 1 GiB in
    total.

    Raises:
        InputError: the function may not be named, or the function or an argument is not valid.
    """
    return build_dataset(config.data, config.dtype, config.trusted_modules)


def build_dataset(slot: TargetConfig, dtype: str, trusted: tuple[str, ...] = ()) -> Dataset:
    """The data set of a `data` section, cached as in `load_dataset`.

    Args:
        slot: the section `data` of a configuration.
        dtype: ``complex64`` or ``complex128``.
        trusted: packages of the user that the section may name.

    Raises:
        InputError: the function may not be named, or the function or an argument is not valid.
    """
    key = json.dumps(slot.model_dump(mode="json", by_alias=True), sort_keys=True)
    return _cache.get((key, dtype, trusted), lambda: _build_dataset(slot, dtype, trusted))


def _build_dataset(slot: TargetConfig, dtype: str, trusted: tuple[str, ...]) -> Dataset:
    function = resolve_target("data", slot.target, Dataset, trusted, anything=True)
    precision = getattr(torch, dtype)
    taken = signature(function).parameters
    arguments = dict(slot.arguments)
    if "seed" not in taken and arguments.get("seed") == 0:
        del arguments["seed"]  # the default of another data set, or of `custom`
    own = {}
    if getattr(function, "func", function) in (arrays, folders):
        own = {"transform": _transform(arguments.pop("transform", None), trusted)}
    weighted = False if "weighted" in taken else arguments.pop("weighted", False)
    if not isinstance(weighted, bool):
        raise InputError(f"data.weighted={weighted}: should be true or false")
    arguments = check_arguments("data", function, arguments, frozenset({"dtype"}))
    if "dtype" in taken:
        arguments["dtype"] = precision
    arguments |= {key: value for key, value in own.items() if value is not None}
    try:
        with np.errstate(all="ignore"):  # the data set itself rejects values that are not finite
            return as_dataset(function(**arguments), precision, weighted)
    except Exception as error:  # a user's function may raise anything
        raise InputError(f"data: {_fault(slot, error)}") from error


def _transform(value: Any, trusted: tuple[str, ...]) -> Any:
    """The transform of inputs, with names of a user's functions replaced by the functions.

    Raises:
        InputError: a function may not be named, or an argument is not valid.
    """
    if isinstance(value, list | tuple):
        return [_transform(one, trusted) for one in value]
    if isinstance(value, str) and "." in value:
        value = {"_target_": value}
    if not (isinstance(value, Mapping) and "_target_" in value):
        return value
    path, key = str(value["_target_"]), "data.transform"
    target = resolve_target(key, path, nn.Module, trusted, anything=True)
    arguments = {name: argument for name, argument in value.items() if name != "_target_"}
    return called_with(key, target, arguments, nn.Module, ("a sample",))


def _fault(slot: TargetConfig, error: Exception) -> str:
    """Describe in one line why a data set could not be made."""
    if user_place(error) is None and isinstance(error, ValueError | OSError):
        # A wrong argument or an unreadable file: the message of the error is complete.
        return first_line(error) or type(error).__name__
    # Errors such as a failed allocation do not name the argument.
    shown = ", ".join(f"{name}={value!r}" for name, value in slot.arguments.items())
    made_with = f" with {shown}" if shown else ""
    return f"it cannot be made{made_with}: {describe_error(error)}"
