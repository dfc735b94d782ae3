"""From a configuration to its data set."""

from __future__ import annotations

import json

import numpy as np
import torch

from cvtrain.config.schema import Config
from cvtrain.config.sections import TargetConfig
from cvtrain.config.targets import check_arguments, resolve_target
from cvtrain.data.dataset import Dataset, DatasetCache
from cvtrain.process.errors import InputError, first_line

_cache = DatasetCache(most_bytes=2**30)


def load_dataset(config: Config) -> Dataset:
    """The data set of a configuration. A process builds it once for equal `data` sections, and
    keeps data sets of up to 1 GiB in all.

    Raises:
        InputError: the function or one of its arguments is not acceptable.
    """
    return build_dataset(config.data, config.dtype, config.trusted_modules)


def build_dataset(slot: TargetConfig, dtype: str, trusted: tuple[str, ...] = ()) -> Dataset:
    """The data set of a `data` section, built once per process as `load_dataset` does.

    Args:
        slot: the section.
        dtype: ``complex64`` or ``complex128``.
        trusted: packages of the user's own that the section may name.

    Raises:
        InputError: the function or one of its arguments is not acceptable.
    """
    key = json.dumps(slot.model_dump(mode="json", by_alias=True), sort_keys=True)
    return _cache.get((key, dtype, trusted), lambda: _build_dataset(slot, dtype, trusted))


def _build_dataset(slot: TargetConfig, dtype: str, trusted: tuple[str, ...]) -> Dataset:
    function = resolve_target("data", slot.target, Dataset, trusted)
    arguments = check_arguments("data", function, slot.arguments, frozenset({"dtype"}))
    try:
        with np.errstate(all="ignore"):  # the data set itself refuses what is not finite
            dataset: Dataset = function(**arguments, dtype=getattr(torch, dtype))
    except (ValueError, OSError) as error:  # a wrong argument, a file that cannot be read
        raise InputError(f"data: {first_line(error) or type(error).__name__}") from None
    except (ArithmeticError, RuntimeError, MemoryError, TypeError) as error:
        # Larger than memory, or than a size can be. Such errors do not name the argument.
        shown = ", ".join(f"{name}={value!r}" for name, value in slot.arguments.items())
        reason = first_line(error) or type(error).__name__
        raise InputError(f"data: it cannot be made with {shown}: {reason}") from None
    return dataset
