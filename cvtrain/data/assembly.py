"""Make a `Dataset` from stored samples: determine scales, keep samples in memory or on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cvtrain.data.array_files import Array, Stored
from cvtrain.data.conversion import Preparation, Targets
from cvtrain.data.dataset import Dataset
from cvtrain.data.sources import Part, StoredSamples
from cvtrain.data.split import AnySplit, FileSplit, Inputs, Split, unless_equal

Scale: TypeAlias = Literal["rms", "none"]
NAMES = ("training", "validation", "test")

PIECE = 1024
"""Number of samples that are prepared at a time."""

MOST_IN_MEMORY = 2**30
"""Largest size of all inputs, in bytes, that are read into memory by default."""


@dataclass(frozen=True)
class SampleReader:
    """Reads one sample at a time, for samples that stay on disk."""

    stored: StoredSamples
    prepare: tuple[Preparation, ...]
    convert: Targets
    weighted: bool

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, sample: int) -> tuple[Inputs, Tensor] | tuple[Inputs, Tensor, Tensor]:
        number = np.array([sample])
        read = zip(self.prepare, self.stored.inputs, strict=True)
        inputs = one_or_several([prepare(x.take(number))[0] for prepare, x in read])
        target = self.convert(self.stored.targets.take(number))[0]
        if not self.weighted or self.stored.weights is None:
            return inputs, target
        weights = self.stored.weights.take(number)
        return inputs, target, torch.from_numpy(weights).to(self.prepare[0].dtype.to_real())[0]


def assembled(
    parts: Sequence[Part],
    prepare: Sequence[Preparation],
    convert: Targets,
    *,
    scale: Scale = "none",
    target_scale: Scale = "none",
    in_memory: bool | None = None,
    workers: int = 0,
) -> Dataset:
    """Make the data set of three splits.

    Args:
        parts: stored samples for training, validation and test.
        prepare: conversion of each input.
        convert: conversion of the targets.
        scale: `rms` divides inputs by the root mean square modulus over all entries of the training
            split, each of several inputs by its own; `none`.
        target_scale: `rms` divides the targets of a regression in the same way; `none`.
        in_memory: true reads all samples now, false each batch when it is needed; None: by their
            size.
        workers: number of processes that read samples beside the training process.

    Raises:
        ValueError: a split is empty, numbers of samples differ, or the result is not a valid
            `Dataset`.
    """
    for name, part in zip(NAMES, parts, strict=True):
        _check_counts(name, part)
    first, chosen = parts[0].stored, parts[0].samples
    preparations = list(prepare)
    names = (
        ["inputs"]
        if len(preparations) == 1
        else [f"inputs[{number}]" for number in range(len(preparations))]
    )
    scales: dict[str, float] = {}
    if scale == "rms":
        for name, x, make in zip(names, first.inputs, prepare, strict=True):
            precise = replace(make, dtype=torch.complex128)
            scales[name] = _root_mean_square("scale", name, x, chosen, precise)
        preparations = [
            replace(make, scale=scales[name])
            for name, make in zip(names, preparations, strict=True)
        ]
    if target_scale == "rms":
        if convert.task == "classification":
            raise ValueError("target_scale=rms: should be none, as targets are labels")
        wide = torch.complex128 if convert.dtype.is_complex else torch.float64
        scales["targets"] = _root_mean_square(
            "target_scale", "targets", first.targets, chosen, replace(convert, dtype=wide)
        )
        convert = replace(convert, scale=scales["targets"])
    if in_memory is None:
        one = sum(
            make(x.take(np.arange(1))).nbytes
            for make, x in zip(preparations, first.inputs, strict=True)
        )
        in_memory = one * sum(len(part.samples) for part in parts) <= MOST_IN_MEMORY
    splits: list[AnySplit] = []
    for name, part in zip(NAMES, parts, strict=True):
        weights = _weights(name, part, preparations[0].dtype.to_real())
        if in_memory:
            made = zip(part.stored.inputs, preparations, strict=True)
            inputs = one_or_several([_read(x, part.samples, make) for x, make in made])
            splits.append(Split(inputs, _read(part.stored.targets, part.samples, convert), weights))
        else:
            reader = SampleReader(part.stored, tuple(preparations), convert, weights is not None)
            splits.append(FileSplit(reader, part.samples.tolist(), workers))
    train, validation, test = splits
    return Dataset(
        train,
        validation,
        test,
        task=convert.task,
        out_features=convert.out_features,
        class_names=convert.class_names,
        scales=scales,
    )


def one_or_several(tensors: Sequence[Tensor]) -> Inputs:
    """A single tensor as it is, several as a tuple: the form in which a network gets inputs."""
    return tensors[0] if len(tensors) == 1 else tuple(tensors)


def _check_counts(name: str, part: Part) -> None:
    stored = part.stored
    for kind, arrays in (("inputs", stored.inputs), ("targets", (stored.targets,))):
        for array in arrays:
            if array.shape[0] != len(stored):
                raise ValueError(
                    f"{name}: {array.shape[0]} {kind} should be {len(stored)}, as there are inputs"
                )
    if not len(part.samples):
        raise ValueError(f"{name} split: should hold samples, is empty")


def _weights(name: str, part: Part, dtype: torch.dtype) -> Tensor | None:
    """Weights [n] of a split, read into memory; None if all are equal."""
    stored = part.stored.weights
    if stored is None:
        return None
    if stored.dtype.kind not in "biuf" or stored.shape != (len(part.stored),):
        raise ValueError(
            f"{name} split: weights should be real [{len(part.stored)}], one a sample, are"
            f" {stored.dtype} {list(stored.shape)}"
        )
    weights = torch.from_numpy(np.ascontiguousarray(stored.take(part.samples))).to(dtype)
    if not (torch.isfinite(weights) & (weights >= 0)).all() or not weights.any():
        raise ValueError(f"{name} split: weights should be finite, not negative, and not all zero")
    return unless_equal(weights)


def _read(stored: Stored, samples: npt.NDArray[np.intp], make: Callable[[Array], Tensor]) -> Tensor:
    first = make(stored.take(samples[:1]))
    tensor = torch.empty(len(samples), *first.shape[1:], dtype=first.dtype)
    for start in range(0, len(samples), PIECE):
        tensor[start : start + PIECE] = make(stored.take(samples[start : start + PIECE]))
    return tensor


def _root_mean_square(
    argument: str,
    kind: str,
    stored: Stored,
    samples: npt.NDArray[np.intp],
    make: Callable[[Array], Tensor],
) -> float:
    power, entries = 0.0, 0
    for start in range(0, len(samples), PIECE):
        x = make(stored.take(samples[start : start + PIECE]))
        power += float((torch.view_as_real(x) if x.is_complex() else x).square().sum())
        entries += x.numel()
    if not np.isfinite(power):
        raise ValueError(f"training split: {kind} should be finite, hold NaN or infinity")
    if power == 0:
        raise ValueError(f"{argument}=rms: training {kind} should not be zero throughout")
    return float(np.sqrt(power / entries))
