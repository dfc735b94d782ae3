"""Second moments of complex inputs, and learning rates in terms of PyTorch's gradient."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

ComplexArray = npt.NDArray[np.complex128]
RealArray = npt.NDArray[np.float64]

TOLERANCE = 1e-6
"""Relative: the covariance of complex64 samples is Hermitian to about 1e-7."""


def sample_moments(inputs: npt.ArrayLike) -> tuple[ComplexArray, ComplexArray]:
    """R = XᴴX/N and P = (XᵀX/N)* of inputs X `[N, M]`, both `[M, M]` (see `cvtrain.theory`).

    Raises:
        ValueError: X is no matrix with at least one row and column, or not finite.
    """
    x = np.asarray(inputs, dtype=np.complex128)
    if x.ndim != 2 or 0 in x.shape or not np.isfinite(x).all():
        raise ValueError(f"inputs must be finite and [N, M], not {list(x.shape)}")
    return x.conj().T @ x / len(x), (x.T @ x / len(x)).conj()


def augmented(
    covariance: npt.ArrayLike, pseudo_covariance: npt.ArrayLike | None = None
) -> tuple[ComplexArray, ComplexArray]:
    """R and P of the augmented vector [u; u*]: [[R, P], [P*, R*]] and [[P, R], [R*, P*]].

    Args:
        covariance: R `[M, M]`, Hermitian, positive semidefinite, not 0.
        pseudo_covariance: P `[M, M]`, symmetric and possible together with R; absent, 0.

    Returns:
        both `[2M, 2M]`.

    Raises:
        ValueError: an argument is out of range.
    """
    r = hermitian("covariance", covariance)
    p = np.zeros_like(r) if pseudo_covariance is None else _symmetric(pseudo_covariance, r)
    both = np.block([[r, p], [p.conj(), r.conj()]])
    least, largest = np.linalg.eigvalsh(both)[[0, -1]]
    if largest <= 0 or least < -TOLERANCE * largest:
        raise ValueError("covariance and pseudo_covariance are those of no random vector")
    return both, np.block([[p, r], [r.conj(), p.conj()]])


def hermitian(name: str, matrix: npt.ArrayLike) -> ComplexArray:
    """`matrix` `[M, M]` as complex128, made Hermitian to the last bit.

    Raises:
        ValueError: it is not finite, not square, or not Hermitian to `TOLERANCE`.
    """
    values = _square(name, matrix)
    if np.abs(values - values.conj().T).max() > TOLERANCE * np.abs(values).max():
        raise ValueError(f"{name} must be Hermitian")
    return (values + values.conj().T) / 2


def eigenvalues_of(covariance: npt.ArrayLike, *, definite: bool = False) -> RealArray:
    """The eigenvalues `[M]` of R, ascending, none below 0.

    Args:
        covariance: R `[M, M]`.
        definite: refuse an eigenvalue of 0 too.

    Raises:
        ValueError: R is not Hermitian, not positive semidefinite (or definite), or 0.
    """
    eigenvalues: RealArray = np.linalg.eigvalsh(hermitian("covariance", covariance)).astype(float)
    largest = float(eigenvalues[-1])
    if largest <= 0 or eigenvalues[0] < -TOLERANCE * largest:
        raise ValueError("covariance must be positive semidefinite and not 0")
    # Rounding leaves zeros of either sign.
    resolution = eigenvalues.size * np.finfo(np.float64).eps * largest
    if definite and eigenvalues[0] <= resolution:
        raise ValueError("covariance must be positive definite: it has an eigenvalue of 0")
    return np.maximum(eigenvalues, 0)


def checked_moments(
    covariance: npt.ArrayLike, pseudo_covariance: npt.ArrayLike | None
) -> tuple[ComplexArray, ComplexArray]:
    """R and P as complex128, P = 0 where it is absent.

    Raises:
        ValueError: R is not Hermitian positive definite, or P is not possible together with it.
    """
    eigenvalues_of(covariance, definite=True)
    both, _ = augmented(covariance, pseudo_covariance)
    taps = len(both) // 2
    return both[:taps, :taps], both[:taps, taps:]


def nominal_rate(lr: float, gradient_factor: float) -> float:
    """The lr that does with the gradient times `gradient_factor` what `lr` does with PyTorch's.

    Raises:
        ValueError: gradient_factor is not positive.
    """
    check_positive("gradient_factor", gradient_factor)
    return lr / gradient_factor


def effective_rate(lr: float, gradient_factor: float) -> float:
    """The inverse of `nominal_rate`.

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
        raise ValueError(f"{name} must be a finite number above 0, not {value!r}")


def _symmetric(matrix: npt.ArrayLike, covariance: ComplexArray) -> ComplexArray:
    values = _square("pseudo_covariance", matrix)
    if values.shape != covariance.shape:
        raise ValueError(
            f"pseudo_covariance must be {list(covariance.shape)}, not {list(values.shape)}"
        )
    if np.abs(values - values.T).max() > TOLERANCE * np.abs(covariance).max():
        raise ValueError("pseudo_covariance must be symmetric")
    return (values + values.T) / 2


def _square(name: str, matrix: npt.ArrayLike) -> ComplexArray:
    values = np.asarray(matrix, dtype=np.complex128)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or values.size == 0:
        raise ValueError(f"{name} must be a square matrix, not {list(values.shape)}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds NaN or infinity")
    return values
