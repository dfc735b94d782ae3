"""A data set from a user's array files, one folder per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from pydantic import StrictBool

from cvtrain.data.arguments import ComplexDtype, Count, Seed, Workers, checked_arguments
from cvtrain.data.array_files import SUFFIXES, FileStack, InMemory
from cvtrain.data.arrays import HeldOut
from cvtrain.data.assembly import Scale, assembled
from cvtrain.data.conversion import WINDOW, Preparation, Targets, Transforms
from cvtrain.data.dataset import Dataset
from cvtrain.data.file_errors import data_folder, files_below
from cvtrain.data.sources import (
    HELD_OUT,
    Parts,
    Sources,
    StoredSamples,
    divided,
    of_pairs,
)

SPLITS = {"train": "train", "val": "validation", "valid": "validation"} | {
    name: name for name in ("validation", "test")
}
EXPECTED = (
    f"it should hold one folder for each class, with a file {', '.join(SUFFIXES)} for each sample;"
    " or folders train, validation and test that do"
)


@checked_arguments
def folders(
    *,
    path: str,
    name: str | None = None,
    validation: HeldOut = HELD_OUT,
    test: HeldOut = HELD_OUT,
    seed: Seed = 0,
    parts: Parts | None = None,
    transform: Transforms = None,
    window: Count = WINDOW,
    scale: Scale = "rms",
    in_memory: StrictBool | None = None,
    workers: Workers = 0,
    dtype: ComplexDtype,
) -> Dataset:
    """Classification of arrays of one shape, one per file, by the folder that holds the file.

    Classes are in the order of the folders' names. Folders ``train``, ``validation`` (or ``val``)
    and ``test`` are the splits; without them each class is divided at random.

    Args:
        path: folder with one folder per class, or with folders train, validation and test that have
            these.
        name: name of the variable in each file, if it holds several.
        validation: share of each class for validation, if there is no folder for it.
        test: share of each class for test, if there is no folder for it.
        seed: seed of the random split.
        parts: `last` if the last axis holds real and imaginary part.
        transform: `fft`, `fft2`, `stft` or `analytic`, along the last axis or axes; or a function
            of one sample that returns an array.
        window: window length of `stft`, whose frames begin a quarter of it apart.
        scale: `rms` divides inputs by the root mean square of the training split; `none`.
        in_memory: false reads each batch when it is needed; None: do so if inputs take over 1 GiB.
        workers: number of processes that read samples; see `FileSplit`.
        dtype: complex64 or complex128: dtype of the inputs; targets are `[N]` int64.

    Raises:
        ValueError: the folder does not have this structure, there are fewer than two classes, or a
            file cannot be read.
    """
    top = data_folder(path, EXPECTED)
    split_of_folder = {f: SPLITS[f.name] for f in _subfolders(top) if f.name in SPLITS}
    tops = {split: folder for folder, split in split_of_folder.items()} or {"train": top}
    twice = [f.name for f, split in split_of_folder.items() if tops[split] != f]
    if twice:
        raise ValueError(
            f"path={path}: should have one folder for {SPLITS[twice[0]]}, has {twice[0]} and"
            f" {tops[SPLITS[twice[0]]].name}"
        )
    if "train" not in tops:
        raise ValueError(f"path={path}: has no folder train; {EXPECTED}")
    classes = tuple(folder.name for folder in _subfolders(tops["train"]))
    if len(classes) < 2:
        raise ValueError(f"path={path}: holds {len(classes)} classes, should be two or more")
    stacks = {split: _stack(folder, classes, name) for split, folder in tops.items()}
    sources = of_pairs(Sources(stacks.pop("train"), stacks), [parts], None)
    return assembled(
        divided(sources, validation, test, seed, "classification"),
        Preparation.of_inputs(dtype, transform, window, 1),
        Targets("classification", len(classes), torch.int64, class_names=classes),
        scale=scale,
        in_memory=in_memory,
        workers=workers,
    )


def _subfolders(top: Path) -> list[Path]:
    return sorted(f for f in top.iterdir() if f.is_dir() and not f.name.startswith("."))


def _stack(top: Path, classes: tuple[str, ...], name: str | None) -> StoredSamples:
    """The files of all classes with their labels, class by class."""
    files, labels = [], []
    for folder in _subfolders(top):
        if folder.name not in classes:
            raise ValueError(
                f"{folder}: should be one of the training classes, {', '.join(classes)}"
            )
        of_class = [file for file in files_below(folder) if file.suffix in SUFFIXES]
        if not of_class:
            raise ValueError(f"{folder}: holds no file {', '.join(SUFFIXES)}; {EXPECTED}")
        files += of_class
        labels += [classes.index(folder.name)] * len(of_class)
    return StoredSamples((FileStack(files, name),), InMemory(np.array(labels, dtype=np.int64)))
