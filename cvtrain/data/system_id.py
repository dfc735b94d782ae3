"""Identification of a linear complex system: least squares with a given spectrum."""

from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from cvtrain.data.arguments import ComplexDtype, NonNegative, Seed, Share, checked_arguments
from cvtrain.data.dataset import Dataset
from cvtrain.data.random import ComplexArray, complex_gaussian, data_generator
from cvtrain.data.split import Split

MOST_TAPS = 4096
"""Largest number of taps: its unitary matrix takes minutes, and twice as many eight times as
long."""


@checked_arguments
def system_id(
    *,
    seed: Seed = 0,
    samples: Annotated[int, Field(ge=5, strict=True)] = 5000,
    taps: Annotated[int, Field(ge=1, le=MOST_TAPS, strict=True)] = 8,
    condition_number: Annotated[float, Field(ge=1, strict=True, allow_inf_nan=False)] = 10.0,
    noise: NonNegative = 0.1,
    circularity: Share = 0.0,
    dtype: ComplexDtype,
) -> Dataset:
    """Regression of y = Σⱼ xⱼ w°ⱼ + ν, for which gradient descent and LMS have closed forms.

    The inputs are x = U Λ^½ u, with a random unitary matrix U, eigenvalues Λ that are evenly spaced
    in their logarithm and have mean 1, and white Gaussian u with E|uₖ|² = 1 and E uₖ² = ρ. Hence::

        R = E[x xᴴ] = U Λ Uᴴ    and    P = E[x xᵀ] = ρ U Λ Uᵀ

    So ρ is the circularity |E v²|/E|v|² of each *principal component* v = (Uᴴ x)ₖ. A single tap xⱼ
    mixes components with different phases, so its circularity is at most ρ; at ρ = 1 x is real in
    the basis U, not tap by tap. With equal eigenvalues R = I, and P is ρ I in that basis.

    Every split is drawn from the same distribution; 60 % of the samples are for training, 20 % each
    for validation and test (rounded down, the rest goes to training).

    Args:
        seed: seed of the random U, w°, inputs and noise.
        samples: number of samples of all three splits together, at least 5.
        taps: length of w°, from 1 to 4096.
        condition_number: ratio of the largest to the smallest eigenvalue of R; 1 for a single tap.
        noise: standard deviation √E|ν|² of the circular complex noise, the square root of the least
            loss.
        circularity: ρ, from 0 (circular) to 1.
        dtype: complex64 or complex128: dtype of inputs `[N, taps]` and targets `[N, 1]`.

    Returns:
        A data set whose `solution` is w° (of unit norm) as `weight`, `[1, taps]`: the parameter of
        `torch.nn.Linear(taps, 1, bias=False)`.

    Raises:
        ValueError: an argument is out of range.
    """
    if taps == 1 and condition_number != 1:
        raise ValueError(f"condition_number={condition_number}: should be 1 where taps=1")
    generator = data_generator(seed)
    unitary = _random_unitary(generator, taps)
    weight = complex_gaussian(generator, (1, taps))
    weight /= np.linalg.norm(weight)
    eigenvalues = np.geomspace(1, condition_number, taps)
    eigenvalues /= eigenvalues.mean()

    white = complex_gaussian(generator, (samples, taps), circularity=circularity)
    x = (white * np.sqrt(eigenvalues)) @ unitary.T  # samples are rows
    y = x @ weight.T + noise * complex_gaussian(generator, (samples, 1))

    held_out = samples // 5
    cuts = [samples - 2 * held_out, samples - held_out]
    train, validation, test = (
        Split(torch.from_numpy(inputs).to(dtype), torch.from_numpy(targets).to(dtype))
        for inputs, targets in zip(np.split(x, cuts), np.split(y, cuts), strict=True)
    )
    solution = {"weight": torch.from_numpy(weight).to(dtype)}
    return Dataset(train, validation, test, task="regression", out_features=1, solution=solution)


def _random_unitary(generator: np.random.Generator, size: int) -> ComplexArray:
    """Draw `[size, size]` from the Haar measure (Mezzadri 2007, Notices of the AMS 54:592).

    QR alone is not enough: it fixes the phases of R's diagonal, and thereby those of Q.
    """
    q, r = np.linalg.qr(complex_gaussian(generator, (size, size)))
    diagonal = np.diagonal(r)
    unitary: ComplexArray = q * (diagonal / np.abs(diagonal))
    return unitary
