"""Least squares in the monomials of complex inputs, with or without their conjugates."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import numpy.typing as npt

from cvtrain.data.split import Split

Array = npt.NDArray[np.complex128]


def monomials(x: Array, order: int) -> Array:
    """All products of up to `order` columns of x [N, d], the constant 1 included.

    Returns:
        [N, (d + order choose order)].
    """
    columns = range(x.shape[1])
    chosen = (c for k in range(order + 1) for c in combinations_with_replacement(columns, k))
    return np.stack([x[:, list(factors)].prod(axis=1) for factors in chosen], axis=1)


def polynomial_mse(train: Split, test: Split, order: int, conjugates: bool) -> float:
    """Mean |ŷ − y|² on `test` of the polynomial ŷ that fits y on `train` best.

    Args:
        train, test: with inputs x [N, d] and targets y [N, out].
        order: of the polynomial.
        conjugates: in x and x* (widely linear where the order is 1), or in x alone.
    """

    def design(split: Split) -> Array:
        x = split.inputs.numpy().astype(np.complex128)
        return monomials(np.concatenate([x, x.conj()], axis=1) if conjugates else x, order)

    y, wanted = (split.targets.numpy().astype(np.complex128) for split in (train, test))
    coefficients, *_ = np.linalg.lstsq(design(train), y, rcond=None)
    error: Array = design(test) @ coefficients - wanted
    return float(np.mean(np.abs(error) ** 2))
