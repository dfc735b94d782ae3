"""Cine MRI of the heart, undersampled in k-space, and what full sampling shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from cvtrain.config.argument_checks import check_choice, check_complex_dtype, check_integer
from cvtrain.data.dataset import Dataset
from cvtrain.data.file_errors import folder, reading
from cvtrain.data.radar_image import Sized, finite
from cvtrain.data.random import data_generator
from cvtrain.data.split import FileSplit
from cvtrain.data.splits import whole_groups
from cvtrain.process.limits import most_processes

View = Literal["sax", "lax"]
Acceleration = Literal[4, 8, 10]

TRAINING_SET = Path("MultiCoil", "cine", "TrainingSet")
EXPECTED = (
    f"it should be the folder ChallengeData of CMRxRecon 2023, task 1 (cmrxrecon.github.io), with"
    f" {TRAINING_SET}/P001/cine_sax.mat, … and {TRAINING_SET}/AccFactor04/P001/cine_sax.mat, …"
)


def miccai2023(
    *,
    path: str,
    seed: int = 0,
    view: View = "sax",
    acceleration: Acceleration = 4,
    coils: int | None = None,
    crop: int = 128,
    workers: int = 0,
    dtype: torch.dtype,
) -> Dataset:
    """Reconstruction of the cine images of CMRxRecon (MICCAI 2023) from a part of k-space.

    A sample is one slice at one time, of all coils. Its input are the images x = F⁻¹k of the
    undersampled k-space k, zero where nothing was sampled; its target those of the fully sampled
    one: torchcvnn's kspace_to_image of the arrays that its MICCAI2023 reads whole. Both are cut
    to the central square and divided by one number, the root mean square modulus of the input.

    All samples of a patient are in one split: 60 % of the patients are for training, 20 % for
    validation, 20 % for test.

    Args:
        path: the folder of the data, see `EXPECTED`.
        seed: deals the patients.
        view: sax (short axis) or lax (long axis).
        acceleration: 4, 8 or 10, by which k-space is undersampled.
        coils: how many are taken, the first ones; None: all.
        crop: rows and columns of the square that is kept; zeros are added around a smaller image.
        workers: processes that read, see `FileSplit`.
        dtype: complex64 or complex128, of inputs and targets `[N, coils, crop, crop]`.

    Raises:
        ValueError: an argument is out of range, the folder is not as it should be, a file is
            missing or is not what it should be, or there are fewer than three patients.
    """
    check_integer("seed", seed, minimum=0)
    check_choice("view", view, get_args(View))
    check_choice("acceleration", acceleration, get_args(Acceleration))
    if coils is not None:
        check_integer("coils", coils, minimum=1)
    check_integer("workers", workers, minimum=0, maximum=most_processes())
    check_complex_dtype(dtype)
    sized = Sized(crop)
    patients = _patients(folder(path, EXPECTED), view, acceleration)
    taken = coils or min(patient.coils for patient in patients)
    for patient in patients:
        if taken > patient.coils or (coils is None and taken < patient.coils):
            raise ValueError(f"{patient.full}: it has {patient.coils} coils, not {taken}")
    samples = Frames(tuple(patients), taken, sized, dtype)
    parts = whole_groups("patients", len(patients), data_generator(seed))
    counts = np.array([len(patient) for patient in patients])
    first = np.cumsum(counts) - counts
    train, validation, test = (
        FileSplit(
            samples,
            [int(first[patient] + n) for patient in part for n in range(counts[patient])],
            workers,
        )
        for part in parts
    )
    return Dataset(
        train=train, validation=validation, test=test, task="regression", out_features=taken
    )


@dataclass(frozen=True)
class Patient:
    """Two arrays [times, slices, coils, rows, columns] of k-space in files.

    Attributes:
        full, full_key: file of the fully sampled one, and its name there.
        sub, sub_key: of the undersampled one.
        times, slices, coils: of both.
    """

    full: Path
    full_key: str
    sub: Path
    sub_key: str
    times: int
    slices: int
    coils: int

    def __len__(self) -> int:
        return self.times * self.slices


@dataclass(frozen=True)
class Frames:
    """Reads pairs of images [coils, crop, crop] of undersampled and fully sampled k-space.

    Of a file, which may be larger than the memory, one frame is read.

    Attributes:
        patients: their files.
        coils: how many are taken.
        sized: crops.
        dtype: of the images.
    """

    patients: tuple[Patient, ...]
    coils: int
    sized: Sized
    dtype: torch.dtype

    def __len__(self) -> int:
        return sum(map(len, self.patients))

    def __getitem__(self, sample: int) -> tuple[Tensor, Tensor]:
        for patient in self.patients:
            if sample < len(patient):
                break
            sample -= len(patient)
        time, slice_ = divmod(sample, patient.slices)
        target = self._image(patient.full, patient.full_key, time, slice_)
        seen = self._image(patient.sub, patient.sub_key, time, slice_)
        scale = seen.abs().square().mean().sqrt()
        if scale == 0:
            raise ValueError(f"{patient.sub}: slice {slice_} at time {time} is zero throughout")
        return (seen / scale).to(self.dtype), (target / scale).to(self.dtype)

    def _image(self, file: Path, key: str, time: int, slice_: int) -> Tensor:
        from torchcvnn.datasets.miccai2023 import kspace_to_image

        with reading(file), _opened(file) as stored:
            pairs = stored[key][time, slice_, : self.coils]
            kspace = finite(pairs["real"] + 1j * pairs["imag"])
        # Coil by coil: it shifts every axis that it is given.
        return self.sized(torch.stack([kspace_to_image(of_coil) for of_coil in kspace]))


def _opened(file: Path) -> Any:
    import h5py

    return h5py.File(file, "r")


def _patients(top: Path, view: View, acceleration: int) -> list[Patient]:
    """The patients with this view, in the order of their names.

    torchcvnn passes over a patient that lacks one file; here that is an incomplete download.
    """
    full, sub = top / TRAINING_SET, top / TRAINING_SET / f"AccFactor{acceleration:02d}"
    name = f"cine_{view}.mat"
    for place in (full, sub):
        if not place.is_dir():
            raise ValueError(f"path={top} has no {place.relative_to(top)}; {EXPECTED}")
    found = {place: {file.parent.name for file in place.glob(f"*/{name}")} for place in (full, sub)}
    if not found[full] and not found[sub]:
        raise ValueError(f"{full}: no patient has {name}; {EXPECTED}")
    for place, other in ((full, sub), (sub, full)):
        missing = sorted(found[other] - found[place])
        if missing:
            raise ValueError(
                f"{place / missing[0] / name}: it is missing, {len(missing)} such"
                f" file{'s' * (len(missing) > 1)} in all; {other} has it"
            )
    keys = ("kspace_full", f"kspace_sub{acceleration:02d}")
    return [
        _checked(full / patient / name, keys[0], sub / patient / name, keys[1])
        for patient in sorted(found[full])
    ]


def _checked(full: Path, full_key: str, sub: Path, sub_key: str) -> Patient:
    shape = _shape(full, full_key)
    if _shape(sub, sub_key) != shape:
        raise ValueError(f"{sub}: {sub_key} is not of the shape of {full_key}, {list(shape)}")
    return Patient(full, full_key, sub, sub_key, *shape[:3])


def _shape(file: Path, key: str) -> tuple[int, ...]:
    with reading(file), _opened(file) as stored:
        if key not in stored:
            raise ValueError(f"it has no {key}")
        array = stored[key]
        names = getattr(array, "dtype", np.dtype(float)).names
        if names != ("real", "imag") or array.ndim != 5 or 0 in array.shape:
            raise ValueError(
                f"{key} should be pairs of real and imag,"
                " [times, slices, coils, rows, columns], none of them 0"
            )
        # HDF5 can refer to other files, wherever they are.
        if array.external or array.is_virtual or array.file.filename != stored.filename:
            raise ValueError(f"{key} refers to another file")
        shape: tuple[int, ...] = array.shape
    return shape
