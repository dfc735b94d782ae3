"""Stored arrays of a data set, and their division into splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from cvtrain.data.array_files import RealPairs, Stored, everything
from cvtrain.data.random import data_generator, stratified, whole_groups
from cvtrain.gradients.losses import IGNORED, TaskName

Parts: TypeAlias = Literal["last"]
HELD_OUT = 0.2
"""Default share of the samples for validation, and for test."""

DRAWS = 100
"""Number of divisions of groups that are tried until every class is in the training split."""


@dataclass(frozen=True)
class StoredSamples:
    """Samples as they are stored, along the first axis of every array.

    Attributes:
        inputs: inputs of a network, one array or several.
        targets: targets of the samples.
        weights: weights of the samples in the loss; None: all equal.
    """

    inputs: tuple[Stored, ...]
    targets: Stored
    weights: Stored | None = None

    def __len__(self) -> int:
        return self.inputs[0].shape[0]


@dataclass(frozen=True)
class Sources:
    """All stored arrays of a data set.

    Attributes:
        train: samples for training, and for the splits that have no arrays of their own.
        others: samples of the splits ``validation`` and ``test`` that have their own arrays.
        groups: group of each sample of `train`, such as its patient, `[N]`.
        float_labels: whether floating-point targets without fraction are labels, as MATLAB stores
            them.
    """

    train: StoredSamples
    others: Mapping[str, StoredSamples]
    groups: Stored | None = None
    float_labels: bool = False


class Part(NamedTuple):
    """The samples of one split: ascending indices into stored arrays."""

    stored: StoredSamples
    samples: npt.NDArray[np.intp]


def of_pairs(
    sources: Sources, parts: Sequence[Parts | None], target_parts: Parts | None
) -> Sources:
    """Sources in which pairs of real numbers are read as complex numbers.

    Args:
        sources: the stored arrays.
        parts: for each input `last` if its last axis holds real and imaginary part, else None.
        target_parts: the same for the targets.

    Raises:
        ValueError: the arrays do not hold pairs of real numbers.
    """

    def complex_samples(s: StoredSamples) -> StoredSamples:
        with_parts = zip(s.inputs, parts, strict=True)
        inputs = [x if part is None else RealPairs("parts", "inputs", x) for x, part in with_parts]
        s = replace(s, inputs=tuple(inputs))
        if target_parts is not None:
            s = replace(s, targets=RealPairs("target_parts", "targets", s.targets))
        return s

    others = {name: complex_samples(stored) for name, stored in sources.others.items()}
    return replace(sources, train=complex_samples(sources.train), others=others)


def drawn_samples(
    sources: Sources, seed: int, task: TaskName, *shares: float
) -> Sequence[npt.NDArray[np.intp]]:
    """Draw the samples of three splits: each class in the same proportions, or whole groups.

    Of several random divisions of groups, the first one with every class in the training split is
    used.

    Args:
        sources: the stored arrays.
        seed: seed of the draw.
        task: the task; labels `[N]` of a classification are divided class by class.
        shares: shares of the samples, or groups, for validation and test; 0: none.

    Returns:
        indices of the samples for training, validation and test.

    Raises:
        ValueError: the groups leave a split empty, or no division has every class in training.
    """
    labels = np.zeros(len(sources.train), dtype=np.int64)
    if task == "classification" and len(sources.train.targets.shape) == 1:
        labels = everything(sources.train.targets).astype(np.int64)
    generator = data_generator(seed)
    if sources.groups is None:
        return stratified(labels, generator, *shares)
    names, group = np.unique(everything(sources.groups), return_inverse=True)
    classes = labels[labels != IGNORED]
    for _ in range(DRAWS):
        parts = whole_groups("groups", len(names), generator, *shares)
        drawn = [np.flatnonzero(np.isin(group, part)) for part in parts]
        missing = np.setdiff1d(classes, labels[drawn[0]])
        if not len(missing):
            return drawn
    raise ValueError(
        f"groups: class {missing[0]} should be in a group for training; each of {DRAWS} divisions"
        " leaves a class out of it, so that some class is in too few groups"
    )


def divided(
    sources: Sources, validation: float, test: float, seed: int, task: TaskName
) -> list[Part]:
    """The samples of training, validation and test.

    A split with its own arrays gets all their samples, any other a part of the training samples.

    Args:
        sources: the stored arrays.
        validation: share of the training samples for validation, if it has no arrays of its own.
        test: share of the training samples for test, if it has no arrays of its own.
        seed: seed of the draw.
        task: as in `drawn_samples`.

    Raises:
        ValueError: the shares leave no samples for training; or a share, groups or a seed are set
            although nothing is drawn.
    """
    own = {"validation", "test"} & sources.others.keys()
    for split, share in (("validation", validation), ("test", test)):
        if split in own and share != HELD_OUT:
            raise ValueError(f"{split}={share}: should be left out, as it has its own samples")
    if len(own) == 2 and (seed or sources.groups is not None):
        setting = f"seed={seed}: should be 0" if seed else "groups: should be left out"
        raise ValueError(f"{setting}, as validation and test have their own samples")
    shares = [
        0.0 if split in sources.others else share
        for split, share in (("validation", validation), ("test", test))
    ]
    if sum(shares) >= 1:
        raise ValueError(f"validation={validation}: should leave samples beside test={test}")
    parts = []
    for split, drawn in zip(
        ("train", "validation", "test"), drawn_samples(sources, seed, task, *shares), strict=True
    ):
        stored = sources.others.get(split)
        parts.append(Part(sources.train, drawn) if stored is None else whole(stored))
    return parts


def whole(stored: StoredSamples) -> Part:
    """All stored samples as a split."""
    return Part(stored, np.arange(len(stored)))
