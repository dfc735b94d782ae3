"""SAMPLE files: MAT-files of version 5 with an image and what is known of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import savemat
from torchcvnn.datasets.sample.filelist import filelist

NUMBERS = (
    "azimuth",
    "elevation",
    "bandwidth",
    "center_freq",
    "range_pixel_spacing",
    "range_resolution",
    "xrange_pixel_spacing",
    "xrange_resolution",
)
CLASSES = tuple(filelist["real"])


def write_image(file: Path, image: np.ndarray, **options: object) -> None:
    """`image` [rows, columns] complex."""
    content = dict.fromkeys(NUMBERS, 1.5) | {"target_name": "tank", "complex_img": image}
    file.parent.mkdir(parents=True, exist_ok=True)
    savemat(file, content, **options)


def file_name(name: str, kind: str, number: int) -> str:
    """Of the same form as those of the data set."""
    return f"{name}_{kind}_A_elevDeg_016_azCenter_{number:03d}_22_serial_b01.mat"


def write_sample(top: Path, views: int = 5, cloned: bool = True) -> dict[str, list[np.ndarray]]:
    """`views` measured images of each class and their twins; the images by class.

    Args:
        top: folder.
        views: of each class.
        cloned: in the folders of the repository, else all of a class in one.
    """
    generator = np.random.default_rng(0)
    written: dict[str, list[np.ndarray]] = {name: [] for name in CLASSES}
    for name in CLASSES:
        for number in range(views):
            for kind in ("real", "synth"):
                parts = generator.standard_normal((2, 8, 8))
                image = parts[0] + 1j * parts[1]
                folder = top / kind / name if cloned else top / name
                write_image(folder / file_name(name, kind, number), image)
                written[name].append(image)
    return written
