"""Files in IDX, the format of MNIST: arrays of unsigned bytes, gzipped or not."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from cvtrain.process.regular_file import kind_of, open_regular

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTE = 0x08
TYPES = frozenset({UNSIGNED_BYTE, 0x09, 0x0B, 0x0C, 0x0D, 0x0E})
MOST_VALUES = 1 << 31
"""Largest number of values that is read: a small gzipped file may unpack to any size."""
PIECE = 1 << 20
"""Bytes that are read at a time: a header may state more than fits into memory."""


def find_idx(folder: Path, name: str) -> Path | None:
    """Find the file `name` or `name`.gz in `folder`; None if neither exists.

    Args:
        folder: folder, which may be missing.
        name: file name without ``.gz``.
    """
    paths = (folder / name, folder / f"{name}.gz")
    return next((path for path in paths if kind_of(path) not in (None, "a directory")), None)


def read_idx(path: Path, sizes: tuple[int | None, ...]) -> npt.NDArray[np.uint8]:
    """Read an IDX file, the format in which LeCun, Cortes and Burges published MNIST.

    It holds two zero bytes, the type of its values, the number of its dimensions, the sizes (four
    bytes each), and the values, last index fastest; all big-endian. The content decides whether it
    is gzipped, since browsers unpack files without renaming them.

    Args:
        path: path of the file.
        sizes: expected size of each dimension; None: any.

    Returns:
        the values, uint8, in the sizes of the file.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not in IDX format, is damaged, or has other values or sizes.
    """
    try:
        with open_regular(path) as file:
            gzipped = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            file.seek(0)
            if not gzipped:
                return _read(path, file, sizes)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _read(path, unpacked, sizes)
    except EOFError:
        raise ValueError(f"{path}: truncated, the gzip stream has no end") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: damaged gzip file: {error}") from None


def _read(
    path: Path, file: IO[bytes] | gzip.GzipFile, sizes: tuple[int | None, ...]
) -> npt.NDArray[np.uint8]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES:
        raise ValueError(f"{path}: not an IDX file, it begins with {magic!r}")
    kind, dimensions = magic[2:]
    if kind != UNSIGNED_BYTE:
        raise ValueError(f"{path}: values of IDX type 0x{kind:02x}, should be unsigned bytes, 0x08")
    if dimensions != len(sizes):
        raise ValueError(f"{path}: number of dimensions {dimensions}, should be {len(sizes)}")
    header = file.read(4 * dimensions)
    if len(header) < 4 * dimensions:
        raise ValueError(f"{path}: truncated, it ends among its sizes")
    stored = struct.unpack(f">{dimensions}I", header)
    if any(wanted not in (None, size) for size, wanted in zip(stored, sizes, strict=True)):
        raise ValueError(f"{path}: sizes {_product(stored)}, should be {_product(sizes)}")
    count = math.prod(stored)
    values = bytearray()
    most = min(count, MOST_VALUES)
    while len(values) <= most and (piece := file.read(min(PIECE, most + 1 - len(values)))):
        values += piece
    if len(values) > MOST_VALUES:
        raise ValueError(f"{path}: {count} values, should be at most {MOST_VALUES}")
    if len(values) < count:
        raise ValueError(f"{path}: truncated, {len(values)} values of {count}")
    if len(values) > count:
        raise ValueError(f"{path}: trailing bytes after its {count} values")
    return np.frombuffer(values, np.uint8).reshape(stored)


def _product(sizes: tuple[int | None, ...]) -> str:
    return "×".join("N" if size is None else str(size) for size in sizes)
