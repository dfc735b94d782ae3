"""Random draws: the generator of a data seed, and complex Gaussian numbers."""

import math

import numpy as np
import numpy.typing as npt

ComplexArray = npt.NDArray[np.complex128]


def data_generator(seed: int) -> np.random.Generator:
    """Return the generator of a data set's random numbers.

    It is a child of `default_rng(seed)`: numpy gives the parent the stream of the pair
    (seed, 0), which orders the batches of the first epoch, and data and order must not share one.
    """
    return np.random.default_rng(seed).spawn(1)[0]


def complex_gaussian(
    generator: np.random.Generator, shape: tuple[int, ...], *, circularity: float = 0.0
) -> ComplexArray:
    """Draw independent zero-mean u with E|u|² = 1 and E u² = ρ, the circularity, in [0, 1].

    Real and imaginary part are independent with variances (1 ± ρ)/2: ρ = 0 is the circular
    Gaussian, whose law no rotation changes, ρ = 1 a real one.
    """
    real, imaginary = generator.standard_normal((2, *shape))
    major, minor = math.sqrt((1 + circularity) / 2), math.sqrt((1 - circularity) / 2)
    u: ComplexArray = major * real + 1j * minor * imaginary
    return u
