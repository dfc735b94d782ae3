"""Measured k-space of a magnetic resonance scan: one slice, several coils, and its images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from cvtrain.data.array_files import everything, open_array
from cvtrain.data.random import ComplexArray

Slice = npt.NDArray[np.complexfloating]

EXPECTED = (
    "it should hold the k-space of one slice, complex [coils, rows, columns], with zeros for"
    " entries that were not sampled and with its centre in the middle, such as cartesian_ksp.npy of"
    " github.com/mikgroup/sigpy-mri-tutorial; data.path=FILE names yours, or FILE:NAME"
)
EXAMPLE = "data/mri/cartesian_ksp.npy"


def read_kspace(path: str) -> ComplexArray:
    """Read the k-space of one slice.

    Args:
        path: a .npy, .npz, .mat or .h5 file, or ``FILE:NAME`` if it holds several variables;
            complex `[coils, rows, columns]`, or `[rows, columns]` of a single coil.

    Returns:
        complex128 `[coils, rows, columns]`.

    Raises:
        ValueError: the file does not exist, or holds something else.
    """
    if not Path(path).expanduser().exists() and ":" not in path:
        raise ValueError(f"path={path}: there is no such file; {EXPECTED}")
    stored = open_array("path", path)
    if stored.dtype.kind != "c" or len(stored.shape) not in (2, 3) or 0 in stored.shape:
        shape = "×".join(map(str, stored.shape))
        raise ValueError(f"path={path}: holds {stored.dtype} {shape}; {EXPECTED}")
    kspace = everything(stored).astype(np.complex128)
    kspace = kspace.reshape(-1, *kspace.shape[-2:])
    if not np.isfinite(kspace).all() or not kspace.any(axis=(1, 2)).all():
        raise ValueError(f"path={path}: should be finite, and not all zero in any coil")
    return kspace


def central(kspace: ComplexArray, size: int) -> ComplexArray:
    """The central `size` × `size` square of the last two axes: the lowest spatial frequencies.

    Raises:
        ValueError: k-space is smaller.
    """
    rows, columns = kspace.shape[-2:]
    if size > min(rows, columns):
        raise ValueError(f"size={size}: should be at most {min(rows, columns)}, as k-space has it")
    first, left = rows // 2 - size // 2, columns // 2 - size // 2
    return kspace[..., first : first + size, left : left + size]


def to_images(kspace: ComplexArray) -> ComplexArray:
    """Images of k-space: the unitary inverse Fourier transform over the last two axes, with the
    origins of k-space and of the image in the middle."""
    axes = (-2, -1)
    shifted = np.fft.ifftshift(kspace, axes=axes)
    images: ComplexArray = np.fft.fftshift(np.fft.ifft2(shifted, norm="ortho"), axes=axes)
    return images
