"""From stored arrays to a `Dataset`: complex inputs, recognised targets, one scale, the splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cvtrain.data.array_files import Array, Stored
from cvtrain.data.dataset import IGNORED, Dataset
from cvtrain.data.split import AnySplit, FileSplit, Split
from cvtrain.data.transforms import TRANSFORMS
from cvtrain.gradients.losses import TaskName

TransformName: TypeAlias = Literal["fft", "fft2", "stft", "analytic"]
Scale: TypeAlias = Literal["rms", "none"]
Parts: TypeAlias = Literal["last"]
NAMES = ("training", "validation", "test")

PIECE = 1024
"""Samples that are prepared at a time."""

MOST_IN_MEMORY = 2**30
"""Bytes of all inputs up to which they are read into memory, where the user does not say."""


class Part(NamedTuple):
    """The samples of one split: numbers of samples, ascending, in arrays of inputs and targets."""

    inputs: Stored
    targets: Stored
    samples: npt.NDArray[np.intp]


@dataclass(frozen=True)
class Preparation:
    """Makes complex inputs of stored ones.

    Attributes:
        dtype: complex64 or complex128, of the result; it is computed in complex128.
        parts: `last`: the last axis holds real and imaginary part; None: as stored, where a real
            number has the imaginary part 0.
        transform: a name in `TRANSFORMS`; None for none.
        window: of the short-time Fourier transform.
        scale: what inputs are divided by.
    """

    dtype: torch.dtype
    parts: Parts | None = None
    transform: TransformName | None = None
    window: int = 64
    scale: float = 1.0

    def __call__(self, stored: Array) -> Tensor:
        """Inputs [n, ...] of stored arrays [n, ...]; numbers [n] become [n, 1].

        Raises:
            ValueError: the arrays do not have the axes that `parts` or `transform` need.
        """
        x = np.asarray(stored)
        if self.parts == "last":
            if np.iscomplexobj(x) or x.ndim < 2 or x.shape[-1] != 2:
                raise ValueError(
                    f"parts=last: inputs should be real [N, ..., 2], are {x.dtype}"
                    f" {['N', *x.shape[1:]]}".replace("'", "")
                )
            x = x[..., 0].astype(np.complex128) + 1j * x[..., 1]
        x = x.astype(np.complex128).reshape(len(x), *(x.shape[1:] or (1,)))
        if self.transform is not None:
            axes = 2 if self.transform == "fft2" else 1
            if x.ndim <= axes:
                raise ValueError(
                    f"transform={self.transform}: should be of inputs with {axes} axes or more"
                )
            x = TRANSFORMS[self.transform](x, self.window)
        return torch.from_numpy(np.ascontiguousarray(x / self.scale)).to(self.dtype)


@dataclass(frozen=True)
class Targets:
    """What stored targets are, and makes targets of them.

    Attributes:
        task: classification or regression.
        out_features: number of classes, or of regression outputs.
        dtype: of the targets.
        labels: stored label of each class, where they are numbered anew; None where they are 0, 1…
        class_names: of the classes.
    """

    task: TaskName
    out_features: int
    dtype: torch.dtype
    labels: npt.NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = ()

    def __call__(self, stored: Array) -> Tensor:
        """Targets [n, ...] of stored ones; in a regression numbers [n] become [n, 1]."""
        y = np.asarray(stored)
        if self.task == "regression" and y.ndim == 1:
            y = y[:, None]
        if self.labels is not None:
            y = np.where(y == IGNORED, IGNORED, np.searchsorted(self.labels, y))
        return torch.from_numpy(np.ascontiguousarray(y)).to(self.dtype)


@dataclass(frozen=True)
class StoredSamples:
    """Reader of one sample at a time, for samples that stay on disk."""

    inputs: Stored
    targets: Stored
    prepare: Preparation
    convert: Targets

    def __len__(self) -> int:
        return self.inputs.shape[0]

    def __getitem__(self, sample: int) -> tuple[Tensor, Tensor]:
        number = np.array([sample])
        inputs, targets = self.inputs.take(number), self.targets.take(number)
        return self.prepare(inputs)[0], self.convert(targets)[0]


def recognised(
    targets: Sequence[Stored],
    dtype: torch.dtype,
    task: TaskName | None = None,
    relabel: bool | None = False,
    whole_are_labels: bool = False,
) -> Targets:
    """Recognise what targets are: whole numbers are labels, others the values of a regression.

    Args:
        targets: of every split, or the same arrays; all have one type.
        dtype: complex64 or complex128, whose precision a regression has.
        task: what they are; None: to be recognised.
        relabel: number labels anew, 0, 1, … in ascending order; None: the caller cannot ask for it.
        whole_are_labels: take floating-point numbers without fraction for labels, as MATLAB stores
            them.

    Raises:
        ValueError: labels are not whole numbers, not 0, 1, …, C − 1, or of fewer than two classes.
    """
    arrays = {id(stored): stored for stored in targets}.values()
    kinds = {stored.dtype.kind for stored in arrays}
    whole = kinds <= set("biu")
    if not whole and kinds <= set("biuf") and (whole_are_labels or task == "classification"):
        whole = all(bool((y == np.round(y)).all()) for y in map(_everything, arrays))
    task = task or ("classification" if whole else "regression")
    first = targets[0]
    if task == "regression":
        is_complex = "c" in kinds
        out = first.shape[1] if len(first.shape) > 1 else 1
        return Targets(task, out, dtype if is_complex else dtype.to_real())
    if not whole:
        raise ValueError("task=classification: targets should be whole numbers, the labels")
    values = np.unique(np.concatenate([np.unique(_everything(stored)) for stored in arrays]))
    labels = values[values != IGNORED].astype(np.int64)
    if len(labels) < 2:
        raise ValueError(f"targets: labels {_listed(labels)} should be of two classes or more")
    if np.array_equal(labels, np.arange(len(labels))):
        return Targets(task, len(labels), torch.int64)
    if not relabel:
        fault = f"targets: labels {_listed(labels)} should be 0 to {len(labels) - 1}"
        if relabel is None:
            raise ValueError(fault)
        mapped = ", ".join(f"{label}→{new}" for new, label in enumerate(labels[:6]))
        more = ", …" if len(labels) > 6 else ""
        raise ValueError(f"{fault}; data.relabel=true maps {mapped}{more}")
    return Targets(task, len(labels), torch.int64, labels, tuple(map(str, labels)))


def divided(
    stored: Mapping[str, tuple[Stored, Stored]],
    validation: float,
    test: float,
    divide: Callable[[float, float], Sequence[npt.NDArray[np.intp]]],
) -> list[Part]:
    """The samples of training, validation and test: all of the arrays of a split that has its own,
    else a part of the training arrays.

    Args:
        stored: inputs and targets, by the names train and, where they are not drawn from these,
            validation and test.
        validation: share of the training arrays for validation, where it has none of its own.
        test: share for test, likewise.
        divide: takes the two shares, 0 where none is drawn, and returns numbers of samples for
            training, validation and test.

    Raises:
        ValueError: the shares leave no samples for training.
    """
    shares = [
        0.0 if split in stored else share
        for split, share in (("validation", validation), ("test", test))
    ]
    if sum(shares) >= 1:
        raise ValueError(f"validation={validation}: should leave samples beside test={test}")
    parts = []
    for split, drawn in zip(("train", "validation", "test"), divide(*shares), strict=True):
        inputs, targets = stored.get(split, stored["train"])
        own = split in stored and split != "train"
        parts.append(Part(inputs, targets, np.arange(inputs.shape[0]) if own else drawn))
    return parts


def assembled(
    parts: Sequence[Part],
    prepare: Preparation,
    convert: Targets,
    *,
    scale: Scale = "none",
    in_memory: bool | None = None,
    workers: int = 0,
) -> Dataset:
    """Make the data set of three splits.

    Args:
        parts: for training, validation and test.
        prepare: makes the inputs.
        convert: makes the targets.
        scale: `rms`: divide inputs by the root mean square modulus over all entries of the training
            split; `none`.
        in_memory: read all samples now; false: each batch when it is due; None: by their size.
        workers: processes that read beside the one that trains.

    Raises:
        ValueError: a split is empty, its numbers of inputs and targets differ, or they are not as
            `Dataset` wants them.
    """
    for name, part in zip(NAMES, parts, strict=True):
        count, labels = part.inputs.shape[0], part.targets.shape[0]
        if count != labels:
            raise ValueError(f"{name}: {labels} targets should be {count}, as there are inputs")
        if not len(part.samples):
            raise ValueError(f"{name} split: should hold samples, is empty")
    if scale == "rms":
        prepare = replace(prepare, scale=_root_mean_square(parts[0], prepare))
    if in_memory is None:
        one = prepare(parts[0].inputs.take(np.arange(1)))
        in_memory = one.nbytes * sum(len(part.samples) for part in parts) <= MOST_IN_MEMORY
    splits: list[AnySplit] = []
    for part in parts:
        if in_memory:
            inputs = _read(part.inputs, part.samples, prepare)
            splits.append(Split(inputs, _read(part.targets, part.samples, convert)))
        else:
            samples = StoredSamples(part.inputs, part.targets, prepare, convert)
            splits.append(FileSplit(samples, part.samples.tolist(), workers))
    train, validation, test = splits
    return Dataset(
        train,
        validation,
        test,
        task=convert.task,
        out_features=convert.out_features,
        class_names=convert.class_names,
    )


def _read(stored: Stored, samples: npt.NDArray[np.intp], make: Callable[[Array], Tensor]) -> Tensor:
    first = make(stored.take(samples[:1]))
    tensor = torch.empty(len(samples), *first.shape[1:], dtype=first.dtype)
    for start in range(0, len(samples), PIECE):
        tensor[start : start + PIECE] = make(stored.take(samples[start : start + PIECE]))
    return tensor


def _root_mean_square(part: Part, prepare: Preparation) -> float:
    prepare = replace(prepare, dtype=torch.complex128)
    power, entries = 0.0, 0
    for start in range(0, len(part.samples), PIECE):
        x = prepare(part.inputs.take(part.samples[start : start + PIECE]))
        power += float(torch.view_as_real(x).square().sum())
        entries += x.numel()
    if not np.isfinite(power):
        raise ValueError("training split: inputs should be finite, hold NaN or infinity")
    if power == 0:
        raise ValueError("scale=rms: training inputs should not be zero throughout")
    return float(np.sqrt(power / entries))


def _everything(stored: Stored) -> Array:
    return stored.take(np.arange(stored.shape[0]))


def _listed(labels: npt.NDArray[Any]) -> str:
    shown = ", ".join(map(str, labels[:6]))
    return f"{shown}, …, {labels[-1]}" if len(labels) > 6 else shown or "(none)"
