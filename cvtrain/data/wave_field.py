"""A coherent optical field on a plane, learned from some of its points."""

from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from cvtrain.data.arguments import ComplexDtype, Count, NonNegative, Seed, checked_arguments
from cvtrain.data.dataset import Dataset
from cvtrain.data.random import complex_gaussian, data_generator
from cvtrain.data.split import Split


@checked_arguments
def wave_field(
    *,
    seed: Seed = 0,
    size: Annotated[int, Field(ge=3, strict=True)] = 48,
    bandwidth: NonNegative = 4.0,
    waves: Count = 64,
    noise: NonNegative = 0.0,
    dtype: ComplexDtype,
) -> Dataset:
    """Regression of a field E on the coordinates r = (x, y) of a square, [−1, 1]².

    Monochromatic light scattered by a rough surface is a sum of plane waves::

        E(r) = Σⱼ aⱼ exp(iπ kⱼ·r)

    with independent circular Gaussian aⱼ and kⱼ uniform over the disc |k| ≤ bandwidth, the
    aperture: fully developed speckle (Goodman 2007, Speckle phenomena in optics, section 2.2) with
    at most `bandwidth` periods along a side. E has unit power over the grid of size × size points,
    of which 60 % are for training, 20 % each for validation and test, drawn at random.

    Args:
        seed: seed of the random aⱼ, kⱼ, noise and split.
        size: number of points along a side, at least 3.
        bandwidth: positive; above size/4 the points are too few to separate the waves.
        waves: number of waves.
        noise: standard deviation √E|ν|² of circular complex noise, added to the training points
            only.
        dtype: complex64 or complex128: dtype of inputs `[N, 2]` (with zero imaginary parts) and
            targets `[N, 1]`.

    Raises:
        ValueError: an argument is out of range.
    """
    if bandwidth == 0 or bandwidth > size / 4:
        raise ValueError(
            f"bandwidth={bandwidth}: should be above 0 and at most size/4 = {size / 4:g}"
        )
    generator = data_generator(seed)
    axis = np.linspace(-1, 1, size)
    r = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    radius = bandwidth * np.sqrt(generator.random(waves))
    angle = 2 * np.pi * generator.random(waves)
    k = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    a = complex_gaussian(generator, (waves,))
    field = np.exp(1j * np.pi * (r @ k.T)) @ a
    field /= np.sqrt(np.mean(np.abs(field) ** 2))

    order = generator.permutation(len(r))
    held_out = len(r) // 5
    cuts = [len(r) - 2 * held_out, len(r) - held_out]
    measured = complex_gaussian(generator, (cuts[0],))

    def split(points: np.ndarray, added: np.ndarray | float = 0.0) -> Split:
        targets = (field[points] + added)[:, None]
        inputs = torch.from_numpy(r[points].astype(np.complex128))
        return Split(inputs.to(dtype), torch.from_numpy(targets).to(dtype))

    train, validation, test = np.split(order, cuts)
    splits = (split(train, noise * measured), split(validation), split(test))
    return Dataset(*splits, task="regression", out_features=1)
