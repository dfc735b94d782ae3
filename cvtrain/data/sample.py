"""Vehicles of the SAMPLE data set: measured radar images and synthetic ones of the same views."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cvtrain.data.arguments import Amplitude, ComplexDtype, Count, Seed, Workers, checked_arguments
from cvtrain.data.dataset import Dataset
from cvtrain.data.file_errors import data_folder, reading
from cvtrain.data.image_files import LabelledFiles, image_dataset
from cvtrain.data.random import data_generator, stratified

KINDS = ("real", "synth")
EXPECTED = (
    "it should be the folder mat_files of a git clone of"
    " github.com/benjaminlewis-afrl/SAMPLE_dataset_public (real/2s1/….mat, synth/2s1/….mat, …),"
    " or hold the files of either kind in one folder for each class (2s1/….mat, …)"
)


@checked_arguments
def sample(
    *,
    path: str,
    seed: Seed = 0,
    complete: bool = True,
    crop: Count = 128,
    size: Count | None = None,
    amplitude: Amplitude = "linear",
    workers: Workers = 0,
    dtype: ComplexDtype,
) -> Dataset:
    """Classification of SAMPLE's complex images of ten vehicles, measured and synthetic together.

    Of each class 60 % are for training, 20 % for validation and 20 % for test; a measured image and
    the synthetic image of the same view are in the same split. A download is complete if it has the
    1984 files that torchcvnn lists, the first hundred of each kind and class. All files in the
    folder are used, listed or not.

    Nothing is downloaded, since no checksums are published that would distinguish a file from an
    error page.

    Args:
        path: the folder of the files, see `EXPECTED`.
        seed: seed of the random split.
        complete: whether a missing file is an error; false reads the files that exist.
        crop: side of the central square that is kept, in pixels; see `resized`.
        size: side after resizing, in pixels; None: no resizing.
        amplitude: `linear` or `log`; see `image_dataset`.
        workers: number of processes that read samples; see `FileSplit`.
        dtype: complex64 or complex128: dtype of inputs `[N, 1, size, size]`; targets `[N]` int64.

    Raises:
        ValueError: an argument is out of range, the folder is not valid, files are missing, one is
            not a MAT-file or is cut short, or there are fewer than two classes.
    """
    from torchcvnn.datasets.sample.filelist import filelist

    top = data_folder(path, EXPECTED)
    names = tuple(filelist["real"])
    files_of_class = {name: _files(top, name) for name in names}
    listed = {(name, file) for kind in KINDS for name in names for file in filelist[kind][name]}
    missing = sorted((name, file) for name, file in listed if file not in files_of_class[name])
    if sum(map(bool, files_of_class.values())) < 2:
        raise ValueError(f"path={path}: holds the files of fewer than two classes; {EXPECTED}")
    if complete and missing:
        raise ValueError(
            f"path={path}: lacks {len(missing)} of {len(listed)} files, e.g."
            f" {'/'.join(missing[0])}; data.complete=false reads the others"
        )
    for files in files_of_class.values():
        for file in files.values():
            with reading(file):
                _check_mat(file)
    # One entry per view: its files and its class.
    views: dict[tuple[int, str], list[Path]] = {}
    for label, name in enumerate(names):
        for base, file in files_of_class[name].items():
            views.setdefault((label, base.replace("_synth_", "_real_")), []).append(file)
    view_parts = stratified(np.array([label for label, _ in views]), data_generator(seed))
    view_of_file = np.repeat(np.arange(len(views)), [len(files) for files in views.values()])
    return image_dataset(
        LabelledFiles(
            tuple(file for files in views.values() for file in files),
            tuple(label for (label, _), files in views.items() for _ in files),
            _read_image,
        ),
        [np.flatnonzero(np.isin(view_of_file, part)) for part in view_parts],
        names,
        crop=crop,
        size=size,
        amplitude=amplitude,
        workers=workers,
        dtype=dtype,
    )


def _read_image(file: Path) -> npt.NDArray[Any]:
    """The complex image [1, H, W] in a file."""
    from scipy.io import loadmat

    image: npt.NDArray[Any] = loadmat(file, variable_names=["complex_img"])["complex_img"]
    if image.ndim != 2 or 0 in image.shape:
        raise ValueError(f"complex_img is {list(image.shape)}, should be [H, W]")
    return image[None]


def _files(top: Path, name: str) -> dict[str, Path]:
    """The files of a class by name, sorted."""
    files = {}
    for folder in (top / name, *(top / kind / name for kind in KINDS)):
        if folder.is_dir():
            files.update({file.name: file for file in folder.iterdir() if file.suffix == ".mat"})
    return dict(sorted(files.items()))


def _check_mat(file: Path) -> None:
    """Check that a file is a complete MAT-file of version 5: a header, then elements with
    lengths."""
    with file.open("rb") as stream:
        length = {b"IM": "<4xI", b"MI": ">4xI"}.get(stream.read(128)[126:])
        if length is None:
            raise ValueError("it is no MAT-file of version 5")
        size, end = file.stat().st_size, 128
        while end < size:
            stream.seek(end)
            end += 8 + struct.unpack(length, stream.read(8).ljust(8, b"\0"))[0]
    if end != size or size == 128:
        raise ValueError(f"it is cut short: it has {size} bytes, and elements up to byte {end}")
