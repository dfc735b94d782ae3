"""IDX files as other programs write them, and a small data set in MNIST's four files."""

from __future__ import annotations

import gzip
import struct
from functools import cache
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits


def idx(values: np.ndarray, kind: int = 0x08) -> bytes:
    header = struct.pack(f">4B{values.ndim}I", 0, 0, kind, values.ndim, *values.shape)
    return header + values.astype(np.uint8).tobytes()


def write(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """900 of scikit-learn's 8×8 digits as 28×28 bytes, with a margin, and their labels."""
    bundled = load_digits()
    images = np.kron(bundled.images[:900] * 15, np.ones((1, 3, 3))).astype(np.uint8)
    return np.pad(images, ((0, 0), (2, 2), (2, 2))), bundled.target[:900].astype(np.uint8)


def write_digits(folder: Path, *, train: int, ending: str = "") -> Path:
    """`train` of the images in the files for training, the others in those for test."""
    images, labels = digits()
    for part, chosen in (("train", slice(train)), ("t10k", slice(train, None))):
        write(folder / f"{part}-images-idx3-ubyte{ending}", idx(images[chosen]))
        write(folder / f"{part}-labels-idx1-ubyte{ending}", idx(labels[chosen]))
    return folder
