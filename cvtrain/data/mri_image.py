"""Learn the coil images of a scan from some of their pixels."""

from __future__ import annotations

import numpy as np
import torch
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator

from cvtrain.data.arguments import ComplexDtype, Count, Seed, checked_arguments
from cvtrain.data.dataset import Dataset, Reference
from cvtrain.data.kspace import EXAMPLE, central, read_kspace, to_images
from cvtrain.data.random import ComplexArray, data_generator
from cvtrain.data.split import Split


@checked_arguments
def mri_image(
    *,
    path: str = EXAMPLE,
    seed: Seed = 0,
    size: Count = 64,
    coils: Count | None = None,
    dtype: ComplexDtype,
) -> Dataset:
    """Regression of the complex images of all coils of a scan on the coordinates of a pixel.

    An image is the unitary inverse Fourier transform of the central `size` × `size` square of
    measured k-space, with zeros for entries that were not sampled. 60 % of its pixels, drawn at
    random, are used for training, 20 % each for validation and test. Coordinates are in [−1, 1]²;
    targets are divided by their root mean square over the training pixels and all coils. The report
    compares with linear interpolation between the training pixels.

    Args:
        path: file of k-space `[coils, rows, columns]`, in a form that
            `cvtrain.data.kspace.read_kspace` reads.
        seed: seed of the random split.
        size: number of pixels along a side, at least 8.
        coils: number of coils, the first of the file; None: all.
        dtype: complex64 or complex128, for inputs `[N, 2]` (with zero imaginary parts) and targets
            `[N, coils]`.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file holds no such k-space, or an argument is out of range.
    """
    if size < 8:
        raise ValueError(f"size={size}: should be at least 8")
    kspace = read_kspace(path)
    if coils is not None and coils > len(kspace):
        raise ValueError(f"coils={coils}: should be at most {len(kspace)}, as {path} has them")
    images = to_images(central(kspace[:coils], size))
    values = images.reshape(len(images), -1).T
    axis = np.linspace(-1, 1, size)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)

    order = data_generator(seed).permutation(len(points))
    held_out = len(points) // 5
    train, validation, test = np.split(order, [len(order) - 2 * held_out, len(order) - held_out])
    rms = float(np.sqrt(np.mean(np.abs(values[train]) ** 2)))
    values = values / rms
    between = _interpolated(points[train], values[train], points[test])
    error = np.sum(np.abs(between - values[test]) ** 2) / np.sum(np.abs(values[test]) ** 2)

    def split(chosen: np.ndarray) -> Split:
        inputs = torch.from_numpy(points[chosen].astype(np.complex128))
        return Split(inputs.to(dtype), torch.from_numpy(values[chosen]).to(dtype))

    return Dataset(
        *(split(train), split(validation), split(test)),
        task="regression",
        out_features=len(images),
        references=(
            Reference("test/nmse", "linear interpolation between training pixels", float(error)),
        ),
        scales={"targets": rms},
    )


def _interpolated(points: np.ndarray, values: ComplexArray, wanted: np.ndarray) -> ComplexArray:
    """Values at `wanted` points, interpolated linearly on a triangulation of `points`; outside of
    the triangulation, the value of the nearest point."""
    inside: ComplexArray = LinearNDInterpolator(points, values)(wanted)
    nearest: ComplexArray = NearestNDInterpolator(points, values)(wanted)
    return np.where(np.isnan(inside), nearest, inside)
