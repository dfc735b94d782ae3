"""Random division of samples or groups into 60 % for training, 20 % validation and 20 % test."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Parts: TypeAlias = list[npt.NDArray[np.intp]]
"""Three sorted arrays of indices: for training, validation and test."""


def stratified(labels: npt.NDArray[np.int64], generator: np.random.Generator) -> Parts:
    """Divide every class at 60 % and 80 %; a class of three or more samples is in all parts.

    Args:
        labels: of the samples, [N].
        generator: source of the order in which each class is divided.
    """
    pieces = []
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        count = len(members)
        cuts = [min(round(0.6 * count), max(count - 2, 1)), round(0.8 * count)]
        pieces.append(np.split(members, cuts))
    return [np.sort(np.concatenate(part)) for part in zip(*pieces, strict=True)]


def whole_groups(name: str, count: int, generator: np.random.Generator) -> Parts:
    """Divide whole groups, such as patients, into three parts of at least one group each.

    Args:
        name: of the groups, for the error.
        count: number of groups; a fifth, rounded, are for validation and as many for test.
        generator: source of their order.

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
