"""A data set from a user's arrays in files or in memory, without code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

import numpy as np
from pydantic import BeforeValidator, Field, SkipValidation, StrictBool
from pydantic_core import PydanticCustomError

from cvtrain.data.arguments import ComplexDtype, Count, Seed, Workers, checked_arguments
from cvtrain.data.array_files import Array, InMemory, Stored, everything, is_matlab, open_array
from cvtrain.data.assembly import Scale, assembled
from cvtrain.data.conversion import WINDOW, Preparation, Transforms, of_each, recognised
from cvtrain.data.dataset import Dataset
from cvtrain.data.sources import (
    HELD_OUT,
    Parts,
    Sources,
    StoredSamples,
    divided,
    of_pairs,
)
from cvtrain.gradients.losses import TaskName

HeldOut = Annotated[float, Field(gt=0, lt=1, strict=True)]


def _file(value: Any) -> Any:
    if not isinstance(value, str | np.ndarray):
        raise PydanticCustomError("file", "Input should be a file")
    return value


def _files(value: Any) -> Any:
    several = value if isinstance(value, list | tuple) and value else [value]
    if not all(isinstance(entry, str | np.ndarray) for entry in several):
        raise PydanticCustomError("files", "Input should be a file or a list of files")
    return value


def _parts(value: Any) -> Any:
    several = value if isinstance(value, list | tuple) and value else [value]
    if any(entry not in (None, "last") for entry in several):
        raise PydanticCustomError("parts", "Input should be last, or a list of last and null")
    return value


File: TypeAlias = Annotated[str | Array, SkipValidation, BeforeValidator(_file)]
"""A file, or an array in memory."""
Files: TypeAlias = Annotated[
    str | Array | Sequence[str | Array], SkipValidation, BeforeValidator(_files)
]
"""A file or array, or a list of several."""
EachParts: TypeAlias = Annotated[
    Parts | Sequence[Parts | None] | None, SkipValidation, BeforeValidator(_parts)
]
"""Argument `parts`: one value for all inputs, or a list with one value per input."""


@checked_arguments
def arrays(
    *,
    inputs: Files,
    targets: File,
    weights: File | None = None,
    validation_inputs: Files | None = None,
    validation_targets: File | None = None,
    validation_weights: File | None = None,
    test_inputs: Files | None = None,
    test_targets: File | None = None,
    test_weights: File | None = None,
    validation: HeldOut = HELD_OUT,
    test: HeldOut = HELD_OUT,
    groups: File | None = None,
    seed: Seed = 0,
    task: TaskName | None = None,
    relabel: StrictBool = False,
    parts: EachParts = None,
    target_parts: Parts | None = None,
    transform: Transforms = None,
    window: Count = WINDOW,
    scale: Scale = "rms",
    target_scale: Scale = "none",
    in_memory: StrictBool | None = None,
    workers: Workers = 0,
    dtype: ComplexDtype,
) -> Dataset:
    """Classification or regression of arrays in .npy, .npz, .mat or .h5 files, or in memory.

    The first axis of every array runs over samples. A file is named as ``FILE``, or as
    ``FILE:NAME`` if it holds several variables. Whole numbers `[N]` as targets are labels, `[N,
    *positions]` labels at every position; other numbers `[N]` or `[N, out, *positions]` are the
    values of a regression, real or complex as stored.

    Splits without files of their own are drawn from the training samples: each class is divided in
    the same proportions, or whole groups are assigned.

    Args:
        inputs: complex `[N, ...]`; real inputs get the imaginary part 0. A list of several arrays
            gives a network several arguments.
        targets: targets of the inputs.
        weights: `[N]`, non-negative: weight of each sample in the loss of its split; None: all
            equal.
        validation_inputs: validation inputs; None: a part of `inputs`.
        validation_targets: targets of the validation inputs.
        validation_weights: weights of the validation inputs.
        test_inputs: test inputs; None: a part of `inputs`.
        test_targets: targets of the test inputs.
        test_weights: weights of the test inputs.
        validation: share of `inputs` for validation, if there is no file for it.
        test: share of `inputs` for test, if there is no file for it.
        groups: group of each sample, such as its patient, `[N]`; no group is in two splits, and
            every class is in the training split.
        seed: seed of the random split.
        task: classification or regression; None: recognised from the targets.
        relabel: whether to number labels 0, 1, … in ascending order.
        parts: `last` if the last axis of inputs holds real and imaginary part; a list has one value
            for each of several inputs.
        target_parts: `last` if the last axis of targets holds real and imaginary part.
        transform: `fft`, `fft2`, `stft` or `analytic`, along the last axis or axes of the inputs;
            or a function of one sample that returns an array. A list has one for each of several
            inputs.
        window: window length of `stft`, whose frames begin a quarter of it apart.
        scale: `rms` divides inputs by the root mean square of the training split, each of several
            inputs by its own; `none`.
        target_scale: `rms` divides the targets of a regression by the root mean square of the
            training split over all entries; `none`.
        in_memory: false reads each batch when it is needed; None: do so if inputs take over 1 GiB.
        workers: number of processes that read samples; see `FileSplit`.
        dtype: complex64 or complex128: dtype of the inputs; targets have the same precision.

    Raises:
        ValueError: a file is not valid, numbers of samples differ, a split is empty, inputs are not
            finite, labels are not 0, 1, …, C − 1, or no division of the groups has every class in
            the training split.
    """
    own_files = {
        "validation": (validation_inputs, validation_targets, validation_weights),
        "test": (test_inputs, test_targets, test_weights),
    }
    others = {}
    for name, (split_inputs, split_targets, split_weights) in own_files.items():
        if (split_inputs is None) != (split_targets is None):
            missing = "inputs" if split_inputs is None else "targets"
            raise ValueError(f"{name}_{missing}=null: should be given with the other one")
        if split_weights is not None and split_inputs is None:
            raise ValueError(f"{name}_inputs=null: should be given with {name}_weights")
        if split_inputs is not None and split_targets is not None:
            others[name] = _opened(f"{name}_", split_inputs, split_targets, split_weights)
    train = _opened("", inputs, targets, weights)
    stored_groups = None if groups is None else _of_samples("groups", groups, len(train))
    count = len(train.inputs)
    sources = of_pairs(
        Sources(train, others, stored_groups, isinstance(targets, str) and is_matlab(targets)),
        of_each("parts", parts, count),
        target_parts,
    )
    every = [stored.targets for stored in (sources.train, *sources.others.values())]
    convert = recognised(every, dtype, task, relabel, sources.float_labels)
    return assembled(
        divided(sources, validation, test, seed, convert.task),
        Preparation.of_inputs(dtype, transform, window, count),
        convert,
        scale=scale,
        target_scale=target_scale,
        in_memory=in_memory,
        workers=workers,
    )


def _opened(prefix: str, inputs: Files, targets: File, weights: File | None) -> StoredSamples:
    files = [inputs] if isinstance(inputs, str | np.ndarray) else list(inputs)
    stored_inputs = tuple(_stored(f"{prefix}inputs", file) for file in files)
    y = _stored(f"{prefix}targets", targets)
    count = stored_inputs[0].shape[0]
    others = zip((*files[1:], targets), (*stored_inputs[1:], y), strict=True)
    for number, (file, stored) in enumerate(others, start=1):
        if stored.shape[0] != count:
            kind = "targets" if number == len(files) else "inputs"
            raise ValueError(
                f"{_setting(f'{prefix}{kind}', file)}: {stored.shape[0]} samples should be"
                f" {count}, as {_setting(f'{prefix}inputs', files[0])} has"
            )
    w = None if weights is None else _of_samples(f"{prefix}weights", weights, count)
    return StoredSamples(stored_inputs, y, w)


def _of_samples(argument: str, file: File, samples: int) -> Stored:
    stored = _stored(argument, file)
    if stored.shape != (samples,):
        raise ValueError(
            f"{_setting(argument, file)}: is {list(stored.shape)}, should be [{samples}], one a"
            " sample"
        )
    return stored


def _stored(argument: str, file: File) -> Stored:
    if not isinstance(file, str):
        return InMemory(file)
    stored = open_array(argument, file)
    # MATLAB has no vectors, only matrices with one row or column.
    is_vector = len(stored.shape) == 2 and 1 in stored.shape and not argument.endswith("inputs")
    return InMemory(everything(stored).reshape(-1)) if is_matlab(file) and is_vector else stored


def _setting(argument: str, file: File) -> str:
    return f"{argument}={file}" if isinstance(file, str) else argument
