"""Arrays of your own, from files, without code."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, StrictBool

from cvtrain.data.arguments import ComplexDtype, Count, Seed, Workers, checked_arguments
from cvtrain.data.array_files import InMemory, Stored, is_matlab, open_array
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
from cvtrain.data.random import data_generator, stratified, whole_groups
from cvtrain.gradients.losses import TaskName

HeldOut = Annotated[float, Field(gt=0, lt=1, strict=True)]


@checked_arguments
def arrays(
    *,
    inputs: str,
    targets: str,
    validation_inputs: str | None = None,
    validation_targets: str | None = None,
    test_inputs: str | None = None,
    test_targets: str | None = None,
    validation: HeldOut = 0.2,
    test: HeldOut = 0.2,
    groups: str | None = None,
    seed: Seed = 0,
    task: TaskName | None = None,
    relabel: StrictBool = False,
    parts: Parts | None = None,
    transform: TransformName | None = None,
    window: Count = 64,
    scale: Scale = "rms",
    in_memory: StrictBool | None = None,
    workers: Workers = 0,
    dtype: ComplexDtype,
) -> Dataset:
    """Classification or regression of arrays in .npy, .npz, .mat or .h5 files.

    The first axis of every array is that of the samples. A file is named as ``FILE``, or as
    ``FILE:NAME`` where it holds several variables. Targets of whole numbers `[N]` are labels, and
    `[N, *positions]` labels at every position; other numbers `[N]` or `[N, out, *positions]` are
    the values of a regression, real or complex as they are.

    Splits that have no files of their own are drawn from the others' samples: each class is divided
    in the same proportions, or whole groups are.

    Args:
        inputs: complex `[N, ...]`; real ones get the imaginary part 0.
        targets: of the inputs.
        validation_inputs: None: a part of `inputs`.
        validation_targets: of the validation inputs.
        test_inputs: None: a part of `inputs`.
        test_targets: of the test inputs.
        validation: share of `inputs` for validation, where it has no file.
        test: share of `inputs` for test, where it has no file.
        groups: of the samples, such as patients, `[N]`; no group is in two splits.
        seed: of the random split.
        task: classification or regression; None: recognised from the targets.
        relabel: number labels 0, 1, … in their ascending order.
        parts: `last`: the last axis of inputs holds real and imaginary part.
        transform: `fft`, `fft2`, `stft` or `analytic`, along the last axis or axes of the inputs.
        window: of `stft`, whose frames begin a quarter of it apart.
        scale: `rms`: divide inputs by the training split's root mean square; or `none`.
        in_memory: false reads each batch when it is due; None: so where inputs take over 1 GiB.
        workers: processes that read, see `FileSplit`.
        dtype: complex64 or complex128, of the inputs; targets have its precision.

    Raises:
        ValueError: a file is not as it should be, numbers of samples differ, a split is empty,
            inputs are not finite, or labels are not 0, 1, …, C − 1.
    """
    own_files = {
        "validation": (validation_inputs, validation_targets),
        "test": (test_inputs, test_targets),
    }
    pairs: dict[str, tuple[Stored, Stored]] = {"train": _opened("", inputs, targets)}
    for name, (split_inputs, split_targets) in own_files.items():
        if (split_inputs is None) != (split_targets is None):
            missing = "inputs" if split_inputs is None else "targets"
            raise ValueError(f"{name}_{missing}=null: should be given with the other one")
        if split_inputs is not None and split_targets is not None:
            pairs[name] = _opened(f"{name}_", split_inputs, split_targets)
    convert = recognised(
        [stored for _, stored in pairs.values()], dtype, task, relabel, is_matlab(targets)
    )
    stored_groups = None if groups is None else _vector(open_array("groups", groups), groups)
    samples = pairs["train"][0].shape[0]
    if stored_groups is not None and stored_groups.shape != (samples,):
        raise ValueError(
            f"groups={groups}: is {list(stored_groups.shape)}, should be [{samples}], one a sample"
        )
    draw = partial(drawn_samples, pairs["train"], stored_groups, seed, convert.task)
    chosen = divided(pairs, validation, test, draw)
    prepare = Preparation(dtype, parts, transform, window)
    return assembled(chosen, prepare, convert, scale=scale, in_memory=in_memory, workers=workers)


def _opened(prefix: str, inputs: str, targets: str) -> tuple[Stored, Stored]:
    x = open_array(f"{prefix}inputs", inputs)
    y = _vector(open_array(f"{prefix}targets", targets), targets)
    if x.shape[0] != y.shape[0]:
        raise ValueError(
            f"{prefix}targets={targets}: {y.shape[0]} samples should be {x.shape[0]}, as"
            f" {prefix}inputs={inputs} has"
        )
    return x, y


def _vector(stored: Stored, place: str) -> Stored:
    """MATLAB has no vectors, but matrices of one row or column."""
    if is_matlab(place) and len(stored.shape) == 2 and 1 in stored.shape:
        return InMemory(stored.take(np.arange(stored.shape[0])).reshape(-1))
    return stored


def drawn_samples(
    pair: tuple[Stored, Stored],
    groups: Stored | None,
    seed: int,
    task: TaskName,
    *shares: float,
) -> Sequence[npt.NDArray[np.intp]]:
    """Draw the samples of three splits: each class in the same proportions, or whole groups.

    Args:
        pair: inputs and targets.
        groups: of the samples, `[N]`; None: there are none.
        seed: of the draw.
        task: labels `[N]` of a classification are divided alike.
        shares: of the samples for validation and test; 0: none.

    Returns:
        numbers of samples for training, validation and test.

    Raises:
        ValueError: the groups leave a split empty.
    """
    count = pair[0].shape[0]
    generator = data_generator(seed)
    if groups is not None:
        names, group_of_sample = np.unique(groups.take(np.arange(count)), return_inverse=True)
        parts = whole_groups("groups", len(names), generator, *shares)
        return [np.flatnonzero(np.isin(group_of_sample, part)) for part in parts]
    labels = np.zeros(count, dtype=np.int64)
    if task == "classification" and len(pair[1].shape) == 1:
        labels = pair[1].take(np.arange(count)).astype(np.int64)
    return stratified(labels, generator, *shares)
