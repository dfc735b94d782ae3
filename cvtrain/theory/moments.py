"""Second moments of complex inputs, and learning rates in terms of PyTorch's gradient."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

ComplexArray = npt.NDArray[np.complex128]
RealArray = npt.NDArray[np.float64]

TOLERANCE = 1e-6
"""Relative error up to which a matrix counts as Hermitian, symmetric or positive. The covariance of
complex64 samples is Hermitian to about 1e-7."""


def sample_moments(inputs: npt.ArrayLike) -> tuple[ComplexArray, ComplexArray]:
    """The covariance R = XᴴX/N and pseudo-covariance P = (XᵀX/N)*, both `[M, M]`.

    They are those of u = x*, which multiplies the error in the update (see `cvtrain.theory`).

    Args:
        inputs: X `[N, M]`, one sample xᵀ per row.

    Raises:
        ValueError: X is not finite, or not a matrix with at least one row and column.
    """
    x = np.asarray(inputs, dtype=np.complex128)
    if x.ndim != 2 or 0 in x.shape or not np.isfinite(x).all():
        raise ValueError(f"inputs of shape {list(x.shape)}: should be finite and [N, M]")
    return x.conj().T @ x / len(x), (x.T @ x / len(x)).conj()


def augmented(
    covariance: npt.ArrayLike, pseudo_covariance: npt.ArrayLike | None = None
) -> tuple[ComplexArray, ComplexArray]:
    """R and P of the augmented vector [u; u*]: [[R, P], [P*, R*]] and [[P, R], [R*, P*]].

    Args:
        covariance: R `[M, M]`, Hermitian, positive semidefinite, not 0.
        pseudo_covariance: P `[M, M]`, symmetric and compatible with R; None: 0.

    Returns:
        the two matrices, both `[2M, 2M]`, as arguments for widely-linear LMS.

    Raises:
        ValueError: an argument is out of range.
    """
    r = hermitian("covariance", covariance)
    p = np.zeros_like(r) if pseudo_covariance is None else _symmetric(pseudo_covariance, r)
    both = np.block([[r, p], [p.conj(), r.conj()]])
    least, largest = np.linalg.eigvalsh(both)[[0, -1]]
    if largest <= 0 or least < -TOLERANCE * largest:
        raise ValueError("covariance, pseudo_covariance: should be those of a random vector")
    return both, np.block([[p, r], [r.conj(), p.conj()]])


def hermitian(name: str, matrix: npt.ArrayLike) -> ComplexArray:
    """`matrix` `[M, M]` as complex128, made Hermitian to the last bit.

    Raises:
        ValueError: the matrix is not finite, not square, or not Hermitian up to `TOLERANCE`.
    """
    values = _square(name, matrix)
    if np.abs(values - values.conj().T).max() > TOLERANCE * np.abs(values).max():
        raise ValueError(f"{name}: should be Hermitian")
    return (values + values.conj().T) / 2


def eigenvalues_of(covariance: npt.ArrayLike, *, definite: bool = False) -> RealArray:
    """The eigenvalues `[M]` of R, ascending, none below 0.

    Args:
        covariance: R `[M, M]`.
        definite: whether an eigenvalue of 0 is also an error.

    Raises:
        ValueError: R is not Hermitian, not positive semidefinite (or definite), or 0.
    """
    eigenvalues: RealArray = np.linalg.eigvalsh(hermitian("covariance", covariance)).astype(float)
    largest = float(eigenvalues[-1])
    if largest <= 0 or eigenvalues[0] < -TOLERANCE * largest:
        raise ValueError("covariance: should be positive semidefinite and not 0")
    # Rounding leaves zeros of either sign.
    resolution = eigenvalues.size * np.finfo(np.float64).eps * largest
    if definite and eigenvalues[0] <= resolution:
        raise ValueError("covariance: should be positive definite, has an eigenvalue of 0")
    return np.maximum(eigenvalues, 0)


def checked_moments(
    covariance: npt.ArrayLike, pseudo_covariance: npt.ArrayLike | None
) -> tuple[ComplexArray, ComplexArray]:
    """R and P as complex128 `[M, M]`; P = 0 if it is None.

    Raises:
        ValueError: R is not Hermitian positive definite, or P is not compatible with it.
    """
    eigenvalues_of(covariance, definite=True)
    both, _ = augmented(covariance, pseudo_covariance)
    taps = len(both) // 2
    return both[:taps, :taps], both[:taps, taps:]


def nominal_rate(lr: float, gradient_factor: float) -> float:
    """lr / gradient_factor: the learning rate that makes the same steps from a scaled gradient.

    Raises:
        ValueError: gradient_factor is not positive.
    """
    check_positive("gradient_factor", gradient_factor)
    return lr / gradient_factor


def effective_rate(lr: float, gradient_factor: float) -> float:
    """lr · gradient_factor: the learning rate that makes the same steps from PyTorch's gradient.

    Raises:
        ValueError: lr or gradient_factor is not positive.
    """
    check_positive("lr", lr)
    check_positive("gradient_factor", gradient_factor)
    return lr * gradient_factor


def check_positive(name: str, value: float) -> None:
    """Raise ValueError unless `value` is a finite number above 0."""
    real = isinstance(value, int | float) and not isinstance(value, bool)
    if not real or not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name}={value}: should be a finite number above 0")


def _symmetric(matrix: npt.ArrayLike, covariance: ComplexArray) -> ComplexArray:
    values = _square("pseudo_covariance", matrix)
    if values.shape != covariance.shape:
        raise ValueError(
            f"pseudo_covariance of shape {list(values.shape)}: should be {list(covariance.shape)}"
        )
    if np.abs(values - values.T).max() > TOLERANCE * np.abs(covariance).max():
        raise ValueError("pseudo_covariance: should be symmetric")
    return (values + values.T) / 2


def _square(name: str, matrix: npt.ArrayLike) -> ComplexArray:
    values = np.asarray(matrix, dtype=np.complex128)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or values.size == 0:
        raise ValueError(f"{name} of shape {list(values.shape)}: should be a square matrix")
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: should be finite")
    return values
