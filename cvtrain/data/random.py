"""Random numbers of data sets: generator, complex Gaussians, and division into splits."""

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

ComplexArray = npt.NDArray[np.complex128]
Parts: TypeAlias = list[npt.NDArray[np.intp]]
"""Three sorted arrays of indices: for training, validation and test."""


def data_generator(seed: int) -> np.random.Generator:
    """Return the generator of a data set's random numbers.

    It is a child of `default_rng(seed)`. The parent would share the stream of the pair (seed, 0),
    which orders the batches of the first epoch; data and order should not share a stream.
    """
    return np.random.default_rng(seed).spawn(1)[0]


def complex_gaussian(
    generator: np.random.Generator, shape: tuple[int, ...], *, circularity: float = 0.0
) -> ComplexArray:
    """Draw independent zero-mean u with E|u|² = 1 and E u² = ρ, the circularity, in [0, 1].

    Real and imaginary part are independent with variances (1 ± ρ)/2. With ρ = 0 the distribution is
    circular Gaussian, invariant under rotation; with ρ = 1 it is real.
    """
    real, imaginary = generator.standard_normal((2, *shape))
    major, minor = math.sqrt((1 + circularity) / 2), math.sqrt((1 - circularity) / 2)
    u: ComplexArray = major * real + 1j * minor * imaginary
    return u


def stratified(
    labels: npt.NDArray[np.int64],
    generator: np.random.Generator,
    validation: float = 0.2,
    test: float = 0.2,
) -> Parts:
    """Divide every class in the same shares.

    Every class is in the training part; a class with three or more samples is in all parts.

    Args:
        labels: label of each sample, [N].
        generator: source of the order in which each class is divided.
        validation: share for validation; 0: none.
        test: share for test; 0: none.
    """
    held_out = (validation > 0) + (test > 0)
    pieces = [[np.empty(0, dtype=np.int64)] * 3]  # three parts even if there are no samples
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        count = len(members)
        last = round((1 - test) * count)
        if test > 0 and count >= 3:
            last = min(last, count - 1)
        first = last
        if validation > 0:
            first = min(round((1 - validation - test) * count), max(count - held_out, 1))
        first = max(first, 1)
        pieces.append(np.split(members, [first, max(first, last)]))
    return [np.sort(np.concatenate(part)) for part in zip(*pieces, strict=True)]


def whole_groups(
    name: str,
    count: int,
    generator: np.random.Generator,
    validation: float = 0.2,
    test: float = 0.2,
) -> Parts:
    """Divide whole groups, such as patients, into parts of at least one group each.

    Args:
        name: name of the groups in error messages.
        count: number of groups.
        generator: source of their order.
        validation: share of the groups for validation, rounded; 0: none.
        test: share of the groups for test, rounded; 0: none.

    Raises:
        ValueError: there are too few groups for the parts.
    """
    for_validation, for_test = (
        max(1, round(share * count)) if share > 0 else 0 for share in (validation, test)
    )
    least = for_validation + for_test + 1
    if count < least:
        raise ValueError(
            f"{count} {name}: should be {least} or more, for training, validation and test"
        )
    order = generator.permutation(count)
    cuts = [count - for_validation - for_test, count - for_test]
    return [np.sort(part) for part in np.split(order, cuts)]
