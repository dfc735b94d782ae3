"""A coherent optical field on a plane, to be learned from some of its points."""

import numpy as np
import torch

from cvtrain.config.argument_checks import check_complex_dtype, check_integer, check_number
from cvtrain.data.dataset import Dataset
from cvtrain.data.random import complex_gaussian, data_generator
from cvtrain.data.split import Split


def wave_field(
    *,
    seed: int = 0,
    size: int = 48,
    bandwidth: float = 4.0,
    waves: int = 64,
    noise: float = 0.0,
    dtype: torch.dtype,
) -> Dataset:
    """Regression of a field E on the coordinates r = (x, y) of a square, [−1, 1]².

    Monochromatic light that a rough surface scatters is a sum of plane waves,

        E(r) = Σⱼ aⱼ exp(iπ kⱼ·r),

    aⱼ independent circular Gaussian and kⱼ evenly distributed over the disc |k| ≤ bandwidth, the
    aperture: fully developed speckle (Goodman 2007, Speckle phenomena in optics, section 2.2), with
    at most `bandwidth` periods along a side. E has unit power over the grid of size × size points,
    of which 60 % are for training, 20 % each for validation and test, drawn at random.

    Args:
        seed: draws aⱼ, kⱼ, the noise, and which points are in which split.
        size: points along a side, at least 3.
        bandwidth: positive; above size/4 the points are too few to tell the waves apart.
        waves: how many there are.
        noise: standard deviation √E|ν|² of circular complex noise on the training points alone.
        dtype: complex64 or complex128, of inputs `[N, 2]` (with zero imaginary parts) and targets
            `[N, 1]`.

    Raises:
        ValueError: an argument is out of range.
    """
    check_integer("seed", seed, minimum=0)
    check_integer("size", size, minimum=3)
    check_number("bandwidth", bandwidth, minimum=0)
    if bandwidth == 0 or bandwidth > size / 4:
        raise ValueError(
            f"bandwidth must be above 0 and at most size/4 = {size / 4:g}, not {bandwidth!r}"
        )
    check_integer("waves", waves, minimum=1)
    check_number("noise", noise, minimum=0)
    check_complex_dtype(dtype)

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
    return Dataset(
        train=split(train, noise * measured),
        validation=split(validation),
        test=split(test),
        task="regression",
        out_features=1,
    )
