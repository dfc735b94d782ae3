"""San Francisco in images of the polarimetric ALOS-2 radar, with a label at every pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from cvtrain.config.argument_checks import check_integer
from cvtrain.data.arguments import Amplitude, ComplexDtype, Count, Seed, Workers, checked_arguments
from cvtrain.data.dataset import Dataset
from cvtrain.data.file_errors import check_size, data_folder, reading
from cvtrain.data.image_files import finite, image_dataset
from cvtrain.data.random import Parts, data_generator, whole_groups
from cvtrain.gradients.losses import IGNORED

VOLUME = "VOL-ALOS2044980750-150324-HBQR1.1__A"
POLARISATIONS = ("HH", "HV", "VH", "VV")
LABELS = "SF-ALOS2-label2d.png"
CROP = (5056, 2784)
"""Rows and columns of the labelled part that torchcvnn's PolSFDataset cuts out of the image."""

CORNER = (7888, 3520)
"""Row and column at which that part ends in the image."""

RECORD = 544
"""Number of bytes before the pixels of a line."""

CLASS_NAMES = (
    "mountain",
    "water",
    "vegetation",
    "high-density urban",
    "low-density urban",
    "developed",
)
EXPECTED = (
    f"it should hold {VOLUME} and the LED-, TRL- and IMG- files of the same scene (SAN_FRANCISCO_"
    f"ALOS2 of the PolSARpro samples at IETR, University of Rennes) and {LABELS} (SF-ALOS2 of PolSF"
    " by X. Liu)"
)


@checked_arguments
def polsf(
    *,
    path: str,
    seed: Seed = 0,
    channels: Annotated[int, Field(ge=1, le=4, strict=True)] = 4,
    patch_size: Annotated[int, Field(ge=1, le=min(CROP), strict=True)] = 128,
    patch_stride: Count | None = None,
    block_size: Count = 512,
    amplitude: Amplitude = "linear",
    workers: Workers = 0,
    dtype: ComplexDtype,
) -> Dataset:
    """Segmentation of PolSF, an ALOS-2 image of San Francisco in four polarisations: six classes.

    The image is cut into square blocks. Of the blocks that hold a label 60 % are for training, 20 %
    for validation, 20 % for test. A patch belongs to a split if all blocks that it touches do;
    otherwise it is left out, so that no pixel is in two splits whatever the stride. Patches without
    any label are left out too. Pixels without a label get the label `IGNORED`.

    torchcvnn's PolSFDataset reads and calibrates the patches.

    Args:
        path: the folder of the files, see `EXPECTED`.
        seed: seed of the random assignment of blocks to splits.
        channels: 4: HH, HV, VH, VV; 3: HH, (HV + VH)/2, VV; 2: HH, VV; 1: HH (torchcvnn's PolSAR).
        patch_size: rows and columns of a patch.
        patch_stride: distance between patches; None: `patch_size`, so that they do not overlap.
        block_size: rows and columns of a block, at least `patch_size`.
        amplitude: `linear` or `log`; see `image_dataset`.
        workers: number of processes that read samples; see `FileSplit`.
        dtype: complex64 or complex128: dtype of inputs `[N, channels, patch_size, patch_size]`;
            targets are labels `[N, patch_size, patch_size]` int64.

    Raises:
        ValueError: an argument is out of range, the folder is not valid, a file is cut short or has
            another format, a label is out of range, or a split gets no patch.
    """
    check_integer("block_size", block_size, minimum=patch_size)
    top = data_folder(path, EXPECTED)
    _check_files(top)
    samples = Patches(top, channels, patch_size, patch_stride or patch_size)
    parts = _dealt(samples, block_size, data_generator(seed))
    return image_dataset(
        samples, parts, CLASS_NAMES, amplitude=amplitude, workers=workers, dtype=dtype
    )


class Patches:
    """Reader of patches [channels, size, size] and their labels [size, size].

    Args:
        top: folder of the files.
        channels: as in `polsf`.
        size: rows and columns of a patch.
        stride: distance between patches, which are numbered row by row.
    """

    def __init__(self, top: Path, channels: int, size: int, stride: int) -> None:
        from torchcvnn.datasets import PolSFDataset
        from torchcvnn.transforms import PolSAR

        self._arguments = (top, channels, size, stride)
        self.size, self.stride = size, stride
        with reading(top):
            self._reader = PolSFDataset(
                str(top), PolSAR(channels), patch_size=(size, size), patch_stride=(stride, stride)
            )

    def __reduce__(self) -> tuple[type[Patches], tuple[Any, ...]]:
        return Patches, self._arguments  # without the labels of the whole image

    def __len__(self) -> int:
        return len(self._reader)

    @property
    def labels(self) -> npt.NDArray[np.integer[Any]]:
        """Labels of the whole image, [5056, 2784]; 0: no label."""
        labels: npt.NDArray[np.integer[Any]] = self._reader.labels
        return labels

    def corner(self, patch: int) -> tuple[int, int]:
        """First row and column of a patch in the labelled part."""
        row, column = divmod(patch, self._reader.alos_dataset.nsamples_per_cols)
        return row * self.stride, column * self.stride

    def __getitem__(self, sample: int) -> tuple[Tensor, Tensor]:
        try:
            image, labels = self._reader[sample]
            patch = finite(image)
        except Exception:
            self._raise_naming_the_file(sample)
            raise
        return patch, torch.from_numpy(np.where(labels == 0, IGNORED, labels.astype(np.int64) - 1))

    def _raise_naming_the_file(self, sample: int) -> None:
        """Raise a ValueError that names the file whose patch cannot be read."""
        row, column = self.corner(sample)
        (top, left), _ = self._reader.alos_dataset.crop_coordinates
        for image in self._reader.alos_dataset.images.values():
            with reading(image.filepath):
                finite(image.read_patch(top + row, self.size, left + column, self.size))


def _check_files(top: Path) -> None:
    from torchcvnn.datasets.alos2 import LeaderFile, SARImage, VolFile

    leader, trailer = (top / VOLUME.replace("VOL-", kind) for kind in ("LED-", "TRL-"))
    images = [top / VOLUME.replace("VOL-", f"IMG-{name}-") for name in POLARISATIONS]
    for file in (top / VOLUME, leader, *images, top / LABELS):
        if not file.is_file():
            raise ValueError(f"{file}: it is missing; {EXPECTED}")
    with reading(top / VOLUME):
        images_listed = VolFile(top / VOLUME).num_polarizations
        if images_listed != len(POLARISATIONS):
            raise ValueError(f"it lists {images_listed} images, should be {len(POLARISATIONS)}")
    with reading(leader):
        if not np.isfinite(LeaderFile(leader).calibration_factor):
            raise ValueError("its calibration factor is no number")
    if trailer.is_file():
        with reading(trailer):
            _check_trailer(trailer)
    for file in images:
        with reading(file):
            image = SARImage(file)
            rows, columns = image.num_rows, image.num_cols
            if rows < CORNER[0] or columns < CORNER[1]:
                raise ValueError(f"it has {rows} × {columns} pixels, should be at least {CORNER}")
            check_size(file, 720 + rows * (RECORD + 8 * columns))
    with reading(top / LABELS):
        _check_labels(top / LABELS)


def _check_trailer(file: Path) -> None:
    """Check that the low-resolution image, which torchcvnn reads but does not use, is complete."""
    from torchcvnn.datasets.alos2 import parse_utils, trailer_file

    record: dict[str, Any] = {}
    length = trailer_file.descriptor_record_length
    with file.open("rb") as stream:
        parse_utils.parse_from_format(stream, record, trailer_file.descriptor_format, 1, length, 0)
    check_size(file, length + 2 * record["number_of_pixels"] * record["number_of_lines"])


def _check_labels(file: Path) -> None:
    from PIL import Image

    with Image.open(file) as image:
        if (image.height, image.width) != CROP:
            raise ValueError(f"it has {image.height} × {image.width} pixels, should be {CROP}")
        labels = np.array(image)
    if labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise ValueError("it should have one channel of whole numbers, the labels")
    if labels.max() > len(CLASS_NAMES):
        raise ValueError(f"labels reach {labels.max()}, should be 0 to {len(CLASS_NAMES)}")
    if len(np.unique(labels[labels > 0])) < 2:
        raise ValueError("its labels are of fewer than two classes")


def _dealt(patches: Patches, block: int, generator: np.random.Generator) -> Parts:
    """The patches of each split."""
    labels = patches.labels > 0
    rows, columns = (range(0, length, block) for length in CROP)
    labelled = [
        (i, j)
        for i, row in enumerate(rows)
        for j, column in enumerate(columns)
        if labels[row : row + block, column : column + block].any()
    ]
    split_of_block = np.full((len(rows), len(columns)), -1)
    blocks = whole_groups(f"blocks of {block}×{block} with labels", len(labelled), generator)
    for split, part in enumerate(blocks):
        split_of_block[tuple(np.array(labelled)[part].T)] = split
    chosen: list[list[int]] = [[], [], []]
    for patch in range(len(patches)):
        row, column = patches.corner(patch)
        last_row, last_column = row + patches.size - 1, column + patches.size - 1
        if not labels[row : last_row + 1, column : last_column + 1].any():
            continue
        touched = split_of_block[
            row // block : last_row // block + 1, column // block : last_column // block + 1
        ]
        if touched.min() == touched.max() >= 0:
            chosen[touched.min()].append(patch)
    for name, of_split in zip(("training", "validation", "test"), chosen, strict=True):
        if not of_split:
            raise ValueError(
                f"no patch is left for {name}: block_size={block} is too small or large"
            )
    return [np.array(of_split, dtype=np.intp) for of_split in chosen]
