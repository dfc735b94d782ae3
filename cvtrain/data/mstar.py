"""Vehicles in radar images of MSTAR."""

from __future__ import annotations

import filecmp
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cvtrain.data.arguments import Amplitude, ComplexDtype, Count, Seed, Workers, checked_arguments
from cvtrain.data.dataset import Dataset
from cvtrain.data.file_errors import check_size, data_folder, files_below, reading
from cvtrain.data.image_files import LabelledFiles, image_dataset
from cvtrain.data.random import data_generator, stratified
from cvtrain.process.regular_file import open_regular

CLASS_DEPTH = {
    "MSTAR_PUBLIC_T_72_VARIANTS_CD1": 2,
    "MSTAR_PUBLIC_T_72_VARIANTS_CD2": 2,
    "MSTAR_PUBLIC_MIXED_TARGETS_CD1": 2,
    "MSTAR_PUBLIC_MIXED_TARGETS_CD2": 2,
    "MSTAR_PUBLIC_TARGETS_CHIPS_T72_BMP2_BTR70_SLICY": 3,
}
"""The collections, and the position (from the end) of the part of a file's path that names its
class, as in torchcvnn's MSTARTargets."""

EXPECTED = (
    "it should hold one or more of the folders "
    + ", ".join(CLASS_DEPTH)
    + ", as unpacked from the MSTAR collection of SDMS (sdms.afrl.af.mil; it wants registration)"
)
EXAMPLES = {2: "17_DEG/COL1/SCENE1/2S1", 3: "TARGETS/TRAIN/17_DEG/T72/SN_132"}
NO_CLASS = re.compile(r"\d+_DEG|COL\d+|SCENE\d+|TARGETS|TRAIN|TEST")
END = b"[EndofPhoenixHeader]"
LONGEST_HEADER = 2**20
"""Bytes in which the end of a header is searched; a header has some thousand. Without a limit a
damaged file of terabytes without a line break would be read into memory as its first line."""
NO_CHIPS = {".jpg", ".jpeg", ".png", ".gif", ".tif", ".tiff", ".htm", ".html", ".txt"}


@checked_arguments
def mstar(
    *,
    path: str,
    seed: Seed = 0,
    crop: Count = 128,
    size: Count | None = None,
    amplitude: Amplitude = "linear",
    workers: Workers = 0,
    dtype: ComplexDtype,
) -> Dataset:
    """Classification of the complex image chips of the MSTAR public targets.

    The classes are the vehicles of the collections in the folder, in alphabetical order; the serial
    numbers of T-72 variants are separate classes, as in torchcvnn's MSTARTargets, whose reader
    reads the files. Of each class 60 % are for training, 20 % for validation, 20 % for test,
    independent of the depression angle. Neighbours in azimuth are therefore in different splits,
    which is easier than the usual protocol of 17° for training and 15° for test.

    Args:
        path: a folder that holds one or more of the folders in `CLASS_DEPTH`.
        seed: seed of the random split.
        crop: side of the central square that is kept, in pixels; see `resized`.
        size: side after resizing, in pixels; None: no resizing.
        amplitude: `linear` or `log`; see `image_dataset`.
        workers: number of processes that read samples; see `FileSplit`.
        dtype: complex64 or complex128: dtype of inputs `[N, 1, size, size]`; targets `[N]` int64.

    Raises:
        ValueError: an argument is out of range, the folder is not valid, a file HB* is no chip or
            is cut short, or there are fewer than two classes.
    """
    classes = _chips(data_folder(path, EXPECTED))
    if len(classes) < 2:
        content = f"one class alone, {', '.join(classes)}" if classes else "no file HB*"
        raise ValueError(f"path={path}: holds {content}; {EXPECTED}")
    names = tuple(sorted(classes))
    files = tuple(file for name in names for file in classes[name])
    labels = np.repeat(np.arange(len(names)), [len(classes[name]) for name in names])
    return image_dataset(
        LabelledFiles(files, tuple(labels.tolist()), _read_chip),
        stratified(labels, data_generator(seed)),
        names,
        crop=crop,
        size=size,
        amplitude=amplitude,
        workers=workers,
        dtype=dtype,
    )


def _read_chip(file: Path) -> npt.NDArray[Any]:
    """The complex image [1, H, W] of a chip."""
    from torchcvnn.datasets.mstar.dataset import MSTARSample
    from torchcvnn.transforms import HWC2CHW

    with np.errstate(invalid="ignore"):  # `finite` reports NaN
        image: npt.NDArray[Any] = HWC2CHW()(MSTARSample(str(file)).data)
    return image


def _chips(top: Path) -> dict[str, list[Path]]:
    """Find and check the files of each class; torchcvnn's search would skip unreadable files."""
    files_of_class: dict[str, list[Path]] = {}
    for collection, depth in CLASS_DEPTH.items():
        if not (top / collection).is_dir():
            continue
        for file in files_below(top / collection):
            if file.name.startswith("HB") and file.suffix.lower() not in NO_CHIPS:
                with reading(file):
                    _check_chip(file)
                files_of_class.setdefault(_class(file, top / collection, depth), []).append(file)
    _refuse_copies([file for files in files_of_class.values() for file in files])
    return files_of_class


def _class(file: Path, collection: Path, depth: int) -> str:
    """Name of the folder that names the class of a chip."""
    inside = file.relative_to(collection).parts
    name = inside[-depth] if len(inside) >= depth else ""
    if not name or NO_CLASS.fullmatch(name):
        raise ValueError(
            f"{file}: no folder names its class; below {collection.name} should be folders such as"
            f" {EXAMPLES[depth]}, as they were unpacked"
        )
    return name


def _refuse_copies(files: Sequence[Path]) -> None:
    """Raise ValueError if a chip occurs twice: it could be in the training and the test split."""
    alike: dict[tuple[str, int], list[Path]] = {}
    for file in files:
        others = alike.setdefault((file.name, file.stat().st_size), [])
        for other in others:
            if filecmp.cmp(file, other, shallow=False):
                raise ValueError(f"{file}: it is the same chip as {other}; remove one of them")
        others.append(file)


def _check_chip(file: Path) -> None:
    from torchcvnn.datasets.mstar.dataset import parse_header

    with open_regular(file) as stream:
        start = stream.read(LONGEST_HEADER)
    with io.StringIO(start.decode(errors="replace")) as lines:
        try:
            header = parse_header(lines)
        except (
            IndexError
        ):  # a line without "=": the file ends within its header, or has another format
            raise ValueError("its Phoenix header has no end") from None
    length = int(header["PhoenixHeaderLength"]) + int(header["native_header_length"])
    rows, columns = int(header["NumberOfRows"]), int(header["NumberOfColumns"])
    if min(length, rows - 1, columns - 1) < 0:
        raise ValueError(f"its header specifies {rows} × {columns} pixels after {length} bytes")
    pixels = rows * columns
    if (int(header["PhoenixSigSize"]) - length) // (2 * pixels) != 4:
        raise ValueError("its moduli and phases are no 32-bit numbers, which alone are read")
    check_size(file, length + 8 * pixels)
    stated = int(header["PhoenixHeaderLength"])
    if END not in start[: max(stated, 0)]:
        raise ValueError(f"its header is longer than the {stated} bytes that it states")
