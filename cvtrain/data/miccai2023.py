"""Cine MRI of the heart: reconstruct fully sampled images from undersampled k-space."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from cvtrain.data.arguments import ComplexDtype, Count, Seed, Workers, checked_arguments
from cvtrain.data.dataset import Dataset
from cvtrain.data.file_errors import data_folder, reading
from cvtrain.data.image_files import finite, resized
from cvtrain.data.random import data_generator, whole_groups
from cvtrain.data.split import FileSplit

View = Literal["sax", "lax"]
Acceleration = Literal[4, 8, 10]

FULL_KEY = "kspace_full"
TRAINING_SET = Path("MultiCoil", "cine", "TrainingSet")
EXPECTED = (
    f"it should be the folder ChallengeData of CMRxRecon 2023, task 1 (cmrxrecon.github.io), with"
    f" {TRAINING_SET}/P001/cine_sax.mat, … and {TRAINING_SET}/AccFactor04/P001/cine_sax.mat, …"
)


@checked_arguments
def miccai2023(
    *,
    path: str,
    seed: Seed = 0,
    view: View = "sax",
    acceleration: Acceleration = 4,
    coils: Count | None = None,
    crop: Count = 128,
    workers: Workers = 0,
    dtype: ComplexDtype,
) -> Dataset:
    """Reconstruction of the cine images of CMRxRecon (MICCAI 2023) from a part of k-space.

    A sample is one slice at one time, with all coils. Its input is the image x = F⁻¹k of the
    undersampled k-space k, which is zero where nothing was sampled; its target is that of the fully
    sampled k-space: torchcvnn's kspace_to_image of the arrays that its MICCAI2023 reads whole. Both
    are cut to the central square and divided by one number, the root mean square modulus of the
    input.

    All samples of a patient are in one split: 60 % of the patients are for training, 20 % for
    validation, 20 % for test.

    Args:
        path: the folder of the data, see `EXPECTED`.
        seed: seed of the random assignment of patients to splits.
        view: sax (short axis) or lax (long axis).
        acceleration: factor by which k-space is undersampled: 4, 8 or 10.
        coils: number of coils, counted from the first one; None: all.
        crop: side of the central square that is kept, in pixels; zeros are added around a smaller
            image.
        workers: number of processes that read samples; see `FileSplit`.
        dtype: complex64 or complex128: dtype of inputs and targets `[N, coils, crop, crop]`.

    Raises:
        ValueError: an argument is out of range, the folder or a file is missing or not valid, or
            there are fewer than three patients.
    """
    patients = _patients(data_folder(path, EXPECTED), view, acceleration)
    used = coils or min(patient.shape[2] for patient in patients)
    for patient in patients:
        stored = patient.shape[2]
        if used > stored or (coils is None and used < stored):
            raise ValueError(f"{patient.full}: it has {stored} coils, should be {used}")
    samples = Frames(patients, used, crop, dtype)
    patient_of_frame = np.repeat(np.arange(len(patients)), list(map(len, patients)))
    parts = whole_groups("patients", len(patients), data_generator(seed))
    train, validation, test = (
        FileSplit(samples, np.flatnonzero(np.isin(patient_of_frame, part)).tolist(), workers)
        for part in parts
    )
    return Dataset(train, validation, test, task="regression", out_features=used)


@dataclass(frozen=True)
class Patient:
    """Two files with k-space [times, slices, coils, rows, columns] of one patient.

    Attributes:
        full: file of the fully sampled k-space, stored as `FULL_KEY`.
        sub: file of the undersampled k-space.
        sub_key: key of the undersampled k-space in its file.
        shape: shape of both arrays.
    """

    full: Path
    sub: Path
    sub_key: str
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return self.shape[0] * self.shape[1]


@dataclass(frozen=True)
class Frames:
    """Reader of pairs of images [coils, crop, crop], from undersampled and fully sampled k-space.

    It reads one frame at a time, since a file may be larger than the memory.

    Attributes:
        patients: the patients in the order of their frames.
        coils: number of coils that are read.
        crop: side of the square in pixels.
        dtype: dtype of the images.
    """

    patients: tuple[Patient, ...]
    coils: int
    crop: int
    dtype: torch.dtype

    def __len__(self) -> int:
        return sum(map(len, self.patients))

    def __getitem__(self, sample: int) -> tuple[Tensor, Tensor]:
        for patient in self.patients:
            if sample < len(patient):
                break
            sample -= len(patient)
        frame = divmod(sample, patient.shape[1])
        target = self._image(patient.full, FULL_KEY, frame)
        undersampled = self._image(patient.sub, patient.sub_key, frame)
        scale = undersampled.abs().square().mean().sqrt()
        if scale == 0:
            raise ValueError(f"{patient.sub}: time {frame[0]}, slice {frame[1]}: zero throughout")
        return (undersampled / scale).to(self.dtype), (target / scale).to(self.dtype)

    def _image(self, file: Path, key: str, frame: tuple[int, int]) -> Tensor:
        from torchcvnn.datasets.miccai2023 import kspace_to_image

        with reading(file), _opened(file) as stored:
            pairs = stored[key][*frame, : self.coils]
            kspace = finite(pairs["real"] + 1j * pairs["imag"])
        # One coil at a time: kspace_to_image shifts every axis of its argument.
        images = torch.stack([kspace_to_image(of_coil) for of_coil in kspace])
        return resized(images, self.crop)


def _opened(file: Path) -> Any:
    import h5py

    return h5py.File(file, "r")


def _patients(top: Path, view: View, acceleration: int) -> tuple[Patient, ...]:
    """The patients with this view, sorted by name.

    torchcvnn skips a patient that lacks one file; here this is an error, since the download is
    incomplete.
    """
    full, sub = top / TRAINING_SET, top / TRAINING_SET / f"AccFactor{acceleration:02d}"
    file_name, sub_key = f"cine_{view}.mat", f"kspace_sub{acceleration:02d}"
    for directory in (full, sub):
        if not directory.is_dir():
            raise ValueError(f"path={top}: has no {directory.relative_to(top)}; {EXPECTED}")
    names_full, names_sub = (
        {file.parent.name for file in directory.glob(f"*/{file_name}")} for directory in (full, sub)
    )
    if not names_full | names_sub:
        raise ValueError(f"{full}: no patient has {file_name}; {EXPECTED}")
    for directory, other, missing in (
        (full, sub, sorted(names_sub - names_full)),
        (sub, full, sorted(names_full - names_sub)),
    ):
        if missing:
            raise ValueError(
                f"{directory / missing[0] / file_name}: it is missing, {len(missing)} such"
                f" file{'s' * (len(missing) > 1)} in all; {other} has it"
            )
    patients = []
    for name in sorted(names_full):
        files = full / name / file_name, sub / name / file_name
        shape, sub_shape = _shape(files[0], FULL_KEY), _shape(files[1], sub_key)
        if sub_shape != shape:
            raise ValueError(
                f"{files[1]}: {sub_key} is {list(sub_shape)}, should be {list(shape)} as {FULL_KEY}"
            )
        patients.append(Patient(*files, sub_key, shape))
    return tuple(patients)


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
        # HDF5 may refer to other files at any path.
        if array.external or array.is_virtual or array.file.filename != stored.filename:
            raise ValueError(f"{key} refers to another file")
        shape: tuple[int, ...] = array.shape
    return shape
