"""Which samples train, which validate, which test: 60, 20 and 20 %, in an order that is drawn."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Parts: TypeAlias = list[npt.NDArray[np.intp]]
"""Three sorted arrays of indices: for training, validation and test."""


def stratified(labels: npt.NDArray[np.int64], generator: np.random.Generator) -> Parts:
    """Cut every class at 60 % and 80 %; a class of three or more is in all parts.

    Args:
        labels: of the samples, [N].
        generator: draws the order in which each class is cut.
    """
    pieces = []
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        count = len(members)
        cuts = [min(round(0.6 * count), max(count - 2, 1)), round(0.8 * count)]
        pieces.append(np.split(members, cuts))
    return [np.sort(np.concatenate(part)) for part in zip(*pieces, strict=True)]


def whole_groups(name: str, count: int, generator: np.random.Generator) -> Parts:
    """Deal groups, such as the patients, to the three parts: none of which is without one.

    Args:
        name: of the groups, for the error.
        count: how many there are; a fifth, rounded, validates and as many test.
        generator: draws their order.

    Raises:
        ValueError: there are fewer than three.
    """
    if count < 3:
        raise ValueError(
            f"{count} {name}: at least 3 are needed, for training, validation and test"
        )
    held_out = max(1, round(0.2 * count))
    order = generator.permutation(count)
    cuts = [count - 2 * held_out, count - held_out]
    return [np.sort(part) for part in np.split(order, cuts)]
