"""The coil images of a scan, to be learned from some of their pixels."""

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
    measured k-space, zero where nothing was sampled. 60 % of its pixels are for training, 20 %
    each for validation and test, drawn at random. Coordinates are within [−1, 1]²; targets are
    divided by their root mean square over the training pixels and all coils. The report compares
    with linear interpolation between the training pixels.

    Args:
        path: of the k-space `[coils, rows, columns]`, as `cvtrain.data.kspace.read_kspace` takes
            it.
        seed: of the random split.
        size: pixels along a side, at least 8.
        coils: how many are taken, the first ones; None: all.
        dtype: complex64 or complex128, of inputs `[N, 2]` (with zero imaginary parts) and targets
            `[N, coils]`.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not as it should be, or an argument is out of range.
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
    """Values at `wanted` points, linear on a triangulation of `points`; outside of it those of the
    nearest point."""
    inside: ComplexArray = LinearNDInterpolator(points, values)(wanted)
    nearest: ComplexArray = NearestNDInterpolator(points, values)(wanted)
    return np.where(np.isnan(inside), nearest, inside)
