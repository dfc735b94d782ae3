"""Convert data made by a user's code: a `Dataset`, three torch data sets, or a
LightningDataModule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from cvtrain.data.array_files import Array, InMemory
from cvtrain.data.assembly import NAMES, assembled
from cvtrain.data.conversion import Preparation, recognised
from cvtrain.data.dataset import Dataset
from cvtrain.data.sources import StoredSamples, whole

WANTED = (
    "a cvtrain Dataset, three torch data sets (training, validation, test), or a"
    " LightningDataModule"
)
WEIGHTED = ("an input", "a target", "a weight")
"""Items of a sample; the last may be missing. Three items are not recognised automatically, since
they may be two inputs and a target."""
INSTEAD = "; data.weighted=true takes a third item for the weight, ((a, b), target) has two inputs"
LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


def as_dataset(made: Any, dtype: torch.dtype, weighted: bool | None = False) -> Dataset:
    """Convert what a user's function or class returned to a `Dataset`.

    Samples of torch data sets are pairs of an input (or a tuple of inputs) and a target, or triples
    with a weight; they are read once, in their order, into memory. From a LightningDataModule the
    data sets of its loaders are taken, as Lightning sets them up for fit and for test; size and
    order of batches are those of the run. `cvtrain.data.conversion.recognised` recognises the
    targets.

    Args:
        made: a `Dataset`; a sequence of three map-style data sets, or a mapping with the keys
            train, validation (or val) and test; or a LightningDataModule.
        dtype: complex64 or complex128: dtype of inputs that are not in a `Dataset`.
        weighted: whether samples have a weight; None: triples do.

    Raises:
        ValueError: `made` is none of these or lacks a split, or a sample is not such a pair or
            triple.
    """
    if isinstance(made, Dataset):
        if weighted:
            raise ValueError(
                "weighted=true: should be left out, as splits of a Dataset bring their weights"
            )
        return made
    if hasattr(made, LOADERS[0]):
        made = _loaded(made)
    elif isinstance(made, Mapping):
        named = {"validation" if key == "val" else key: value for key, value in made.items()}
        if named.keys() != {"train", "validation", "test"}:
            raise ValueError(f"keys {', '.join(map(str, made))}: should be train, validation, test")
        made = [named[name] for name in ("train", "validation", "test")]
    if isinstance(made, str) or not isinstance(made, Sequence) or len(made) != 3:
        count = f" of {len(made)}" if isinstance(made, list | tuple) else ""
        raise ValueError(f"made a {type(made).__name__}{count}: should be {WANTED}")
    stored = [_samples(name, split, weighted) for name, split in zip(NAMES, made, strict=True)]
    convert = recognised([samples.targets for samples in stored], dtype, relabel=None)
    prepare = [Preparation(dtype) for _ in stored[0].inputs]
    return assembled(list(map(whole, stored)), prepare, convert, in_memory=True)


def _loaded(module: Any) -> list[Any]:
    name = type(module).__name__
    if hasattr(module, "prepare_data"):
        module.prepare_data()
    splits = []
    # As Lightning does: a module that draws its splits in `setup` would draw other ones for
    # validation.
    for stage, method in zip(("fit", None, "test"), LOADERS, strict=True):
        if stage is not None and hasattr(module, "setup"):
            module.setup(stage)
        try:
            loader = getattr(module, method)()
        except Exception as error:  # Lightning's own raises MisconfigurationException
            if type(error).__name__ != "MisconfigurationException":
                raise
            raise ValueError(f"{name}: should have a {method}") from None
        if isinstance(loader, list | tuple) and len(loader) == 1:
            loader = loader[0]
        if not hasattr(loader, "dataset"):
            kind = type(loader).__name__
            raise ValueError(f"{name}.{method}: should return a torch DataLoader, not {kind}")
        splits.append(loader.dataset)
    return splits


def _samples(name: str, split: Any, weighted: bool | None) -> StoredSamples:
    if not (hasattr(split, "__getitem__") and hasattr(split, "__len__")):
        raise ValueError(
            f"{name} split: should be a torch data set with len() and [number], is a"
            f" {type(split).__name__}"
        )
    read: list[list[Array]] = []
    for number in range(len(split)):
        sample = split[number]
        count = len(sample) if isinstance(sample, Sequence) else 0
        if weighted is None:
            weighted = count == len(WEIGHTED)
        wanted = WEIGHTED if weighted else WEIGHTED[:-1]
        if count != len(wanted):
            raise ValueError(
                f"{name} split, sample {number}: should be {' and '.join(wanted)}, is a"
                f" {type(sample).__name__}{f' of {count}' * (count > 0)}{INSTEAD * (count == 3)}"
            )
        inputs = sample[0] if isinstance(sample[0], tuple) else (sample[0],)
        read.append([as_array(value) for value in (*inputs, *sample[1:])])
        if len(read[-1]) != len(read[0]):
            raise ValueError(
                f"{name} split, sample {number}: {len(inputs)} inputs should be"
                f" {len(read[0]) - len(wanted) + 1}, as in sample 0"
            )
    if not read:
        raise ValueError(f"{name} split: should hold samples, is empty")
    columns = list(zip(*read, strict=True))
    several = len(columns) - (2 if weighted else 1)
    kinds = ["inputs"] * several + ["targets", "weights"]
    stored = [
        InMemory(_stacked(name, kind, column)) for kind, column in zip(kinds, columns, strict=False)
    ]
    return StoredSamples(tuple(stored[:several]), *stored[several:])


def as_array(value: Any) -> Array:
    """A tensor, array or nested list as a NumPy array of the same dtype."""
    tensor = value if isinstance(value, torch.Tensor) else torch.as_tensor(np.asarray(value))
    return tensor.detach().cpu().resolve_conj().numpy()


def _stacked(name: str, kind: str, arrays: Sequence[Array]) -> Array:
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) > 1:
        raise ValueError(
            f"{name} split: {kind} should have one shape, have {shapes[0]}, {shapes[1]}"
        )
    return np.stack(arrays)
