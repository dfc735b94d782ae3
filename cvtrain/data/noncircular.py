"""Two classes of noncircular noise that differ only in the sign of a correlation."""

import math
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from cvtrain.data.arguments import ComplexDtype, Count, Seed, Share, checked_arguments
from cvtrain.data.dataset import Dataset
from cvtrain.data.random import ComplexArray, data_generator
from cvtrain.data.split import Split


@checked_arguments
def noncircular(
    *,
    seed: Seed = 0,
    samples_per_class: Annotated[int, Field(ge=5, strict=True)] = 10_000,
    length: Count = 128,
    correlation: Share = 0.5,
    dtype: ComplexDtype,
) -> Dataset:
    """Classification of vectors of noise z, E|z|² = 2, by the sign of their pseudo-covariance.

    The data of Barrachina et al. (2021, arXiv:2009.08340): Re z and Im z are standard normal with
    correlation +ρ in class 0 and −ρ in class 1, so that E z² = ± 2iρ. The entries of a vector are
    independent. Modulus, and phase modulo a quarter turn, have the same distribution in both
    classes; a maximum-likelihood classifier decides by the sign of Σ Re z · Im z. At the defaults
    it errs with a probability of 7·10⁻¹⁰ (the sum has mean ± 64 and standard deviation 12.6, with
    the heavy tail of products).

    60 % of each class are for training, 20 % each for validation and test (rounded down, the rest
    goes to training).

    Args:
        seed: seed of the random noise and order.
        samples_per_class: number of vectors of each class, at least 5.
        length: number of entries of a vector.
        correlation: ρ, from 0 (the classes are identical) to 1.
        dtype: complex64 or complex128: dtype of inputs `[N, length]`; targets are 0 or 1, `[N]`
            int64.

    Raises:
        ValueError: an argument is out of range.
    """
    generator = data_generator(seed)
    held_out = samples_per_class // 5

    def split(of_each: int) -> Split:
        classes = [_noise(generator, (of_each, length), rho) for rho in (correlation, -correlation)]
        order = generator.permutation(2 * of_each)
        labels = np.repeat(np.arange(2), of_each)[order]
        inputs = np.concatenate(classes)[order]
        return Split(torch.from_numpy(inputs).to(dtype), torch.from_numpy(labels))

    train, validation, test = map(split, (samples_per_class - 2 * held_out, held_out, held_out))
    return Dataset(train, validation, test, task="classification", out_features=2)


def _noise(
    generator: np.random.Generator, shape: tuple[int, ...], correlation: float
) -> ComplexArray:
    """Noise whose real and imaginary parts are standard normal with the given correlation."""
    real, other = generator.standard_normal((2, *shape))
    noise: ComplexArray = real + 1j * (correlation * real + math.sqrt(1 - correlation**2) * other)
    return noise
