"""LMS: stochastic gradient descent of a complex linear model (see `cvtrain.theory`)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cvtrain.config.argument_checks import check_integer, check_number
from cvtrain.theory.gradient_descent import Fastest, gd_stability_limit
from cvtrain.theory.moments import (
    ComplexArray,
    RealArray,
    checked_moments,
    effective_rate,
    hermitian,
    nominal_rate,
)


def lms_mean_limit(covariance: npt.ArrayLike, *, gradient_factor: float = 1.0) -> float:
    """The lr below which E[w] converges: that of gradient descent, 1/λmax (Widrow et al. 1975).

    It depends on neither batch nor circularity, and LMS may diverge in mean square far below it.

    Raises:
        ValueError: an argument is out of range.
    """
    return gd_stability_limit(covariance, gradient_factor=gradient_factor)


def lms_excess_curve(
    covariance: npt.ArrayLike,
    error_covariance: npt.ArrayLike,
    *,
    lr: float,
    steps: int,
    minimum: float = 0.0,
    pseudo_covariance: npt.ArrayLike | None = None,
    batch: int = 1,
    gradient_factor: float = 1.0,
) -> RealArray:
    """The excess mean-square errors tr(R K_t), t = 0 … steps, `[steps + 1]`: the loss minus J_min.

        K′ = K − μ(RK + KR) + μ²[RKR + (R tr(RK) + P Kᵀ P*)/B] + μ² J_min R/B

    from the fourth moment of a Gaussian, E[u uᴴ K u uᴴ] = RKR + R tr(RK) + P Kᵀ P* (for P = 0:
    Horowitz and Senne 1981).

    Args:
        covariance: R `[M, M]`, Hermitian positive definite.
        error_covariance: K₀ `[M, M]`, Hermitian positive semidefinite; ε εᴴ for a known ε.
        lr: positive.
        steps: at least 0.
        minimum: J_min, at least 0.
        pseudo_covariance: P `[M, M]`, symmetric and compatible with R; None: 0.
        batch: B, at least 1.
        gradient_factor: factor on PyTorch's gradient.

    Raises:
        ValueError: an argument is out of range.
    """
    mu = 2 * effective_rate(lr, gradient_factor)
    check_integer("steps", steps, minimum=0)
    check_number("minimum", minimum, minimum=0)
    check_integer("batch", batch, minimum=1)
    r, p = checked_moments(covariance, pseudo_covariance)
    k = hermitian("error_covariance", error_covariance)
    if k.shape != r.shape:
        raise ValueError(f"error_covariance of shape {list(k.shape)}: should be {list(r.shape)}")

    curve = np.empty(steps + 1)
    curve[0] = excess = np.trace(r @ k).real
    for t in range(1, steps + 1):
        rk = r @ k
        scatter = (r * (excess + minimum) + p @ k.T @ p.conj()) / batch
        k = k - mu * (rk + rk.conj().T) + mu**2 * (rk @ r + scatter)
        k = (k + k.conj().T) / 2  # the recursion does not damp a skew part left by rounding
        curve[t] = excess = np.trace(r @ k).real
    return curve


def lms_contraction(
    covariance: npt.ArrayLike,
    *,
    lr: float,
    pseudo_covariance: npt.ArrayLike | None = None,
    batch: int = 1,
    gradient_factor: float = 1.0,
) -> float:
    """The asymptotic factor of K = E[ε εᴴ] per step: the spectral radius of K ↦ K′ without noise.

    K′ is defined in `lms_excess_curve`, with R = `covariance` and P = `pseudo_covariance` (None:
    0), both `[M, M]`, B = `batch` and μ = 2·lr·gradient_factor. Takes memory of order M⁴.

    Raises:
        ValueError: an argument is out of range.
    """
    mu = 2 * effective_rate(lr, gradient_factor)
    _, decay, growth = _second_moment_map(covariance, pseudo_covariance, batch)
    return _radius(mu, decay, growth)


def lms_mean_square_limit(
    covariance: npt.ArrayLike,
    *,
    pseudo_covariance: npt.ArrayLike | None = None,
    batch: int = 1,
    gradient_factor: float = 1.0,
) -> float:
    """The lr below which K = E[ε εᴴ] converges; at this lr it does not.

    Without its constant term the map is K′ = (1 − μD + μ²G) K, with D and G self-adjoint under
    tr(KᴴL). It keeps K ⪰ 0, so its largest eigenvalue is its spectral radius, and that is below 1
    where μD − μ²G is positive definite: μ < 1/λmax(D^-½ G D^-½) (Al-Naffouri and Sayed 2003).

    K′ is defined in `lms_excess_curve`, with R = `covariance` and P = `pseudo_covariance` (None:
    0), both `[M, M]`, B = `batch` and μ = 2·lr·gradient_factor. Takes memory of order M⁴.

    Raises:
        ValueError: an argument is out of range.
    """
    _, decay, growth = _second_moment_map(covariance, pseudo_covariance, batch)
    scale = 1 / np.sqrt(decay)
    steepest = np.linalg.eigvalsh(scale[:, None] * growth * scale)[-1]
    return nominal_rate(0.5 / float(steepest), gradient_factor)


def lms_misadjustment(
    covariance: npt.ArrayLike,
    *,
    lr: float,
    pseudo_covariance: npt.ArrayLike | None = None,
    batch: int = 1,
    gradient_factor: float = 1.0,
) -> float:
    """tr(RK)/J_min in the steady state: the excess error relative to the least error.

    For P = 0 it is S/(1 − S), S = Σᵢ μλᵢ/(B (2 − μλᵢ)); for small lr about lr·tr(R)/B.

    R = `covariance` and P = `pseudo_covariance` (None: 0) are `[M, M]`, B = `batch` and μ =
    2·lr·gradient_factor. Takes memory of order M⁴.

    Raises:
        ValueError: an argument is out of range, or lr is not below `lms_mean_square_limit`.
    """
    mu = 2 * effective_rate(lr, gradient_factor)
    eigenvalues, decay, growth = _second_moment_map(covariance, pseudo_covariance, batch)
    limit = lms_mean_square_limit(
        covariance,
        pseudo_covariance=pseudo_covariance,
        batch=batch,
        gradient_factor=gradient_factor,
    )
    if lr >= limit:
        raise ValueError(f"lr={lr}: should be below lms_mean_square_limit, here {limit:.6g}")
    driven = mu / batch * np.diag(eigenvalues).ravel()
    k = np.linalg.solve(np.diag(decay) - mu * growth, driven).reshape(2 * eigenvalues.shape)
    return float(eigenvalues @ np.diagonal(k).real)


def lms_fastest(
    covariance: npt.ArrayLike,
    *,
    pseudo_covariance: npt.ArrayLike | None = None,
    batch: int = 1,
    gradient_factor: float = 1.0,
) -> Fastest:
    """The lr that minimises `lms_contraction`, and this contraction as the rate.

    I − μD + μ²G (see `lms_mean_square_limit`) is convex in μ since G is positive semidefinite, and
    so is its largest eigenvalue: a bounded search finds its minimum, to seven digits of lr.

    R = `covariance` and P = `pseudo_covariance` (None: 0) are `[M, M]`, B = `batch`, and
    `gradient_factor` multiplies PyTorch's gradient. Takes memory of order M⁴.

    Raises:
        ValueError: an argument is out of range.
    """
    _, decay, growth = _second_moment_map(covariance, pseudo_covariance, batch)
    limit = lms_mean_square_limit(covariance, pseudo_covariance=pseudo_covariance, batch=batch)
    from scipy.optimize import minimize_scalar  # takes half a second to import

    minimum = minimize_scalar(
        lambda fraction: _radius(2 * limit * fraction, decay, growth),
        bounds=(0, 1),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return Fastest(nominal_rate(limit * float(minimum.x), gradient_factor), rate=float(minimum.fun))


def _radius(mu: float, decay: RealArray, growth: ComplexArray) -> float:
    eigenvalues = np.linalg.eigvalsh(np.diag(1 - mu * decay) + mu**2 * growth)
    return float(np.abs(eigenvalues).max())


def _second_moment_map(
    covariance: npt.ArrayLike, pseudo_covariance: npt.ArrayLike | None, batch: int
) -> tuple[RealArray, RealArray, ComplexArray]:
    """λ `[M]` ascending, and D `[M²]` and G `[M², M²]` of K′ = (1 − μD + μ²G) K in R's eigenbasis.

    K is flattened by rows; D is diagonal there.
    """
    check_integer("batch", batch, minimum=1)
    r, p = checked_moments(covariance, pseudo_covariance)
    eigenvalues, basis = np.linalg.eigh(r)
    p = basis.conj().T @ p @ basis.conj()
    power = np.diag(eigenvalues).ravel()
    decay = np.add.outer(eigenvalues, eigenvalues).ravel()
    # (P Kᵀ P*)ᵢⱼ = Σₖₗ Pᵢₖ Kₗₖ P*ₗⱼ
    improper = np.einsum("ik,lj->ijlk", p, p.conj()).reshape(len(decay), len(decay))
    growth = np.diag(np.outer(eigenvalues, eigenvalues).ravel())
    return eigenvalues, decay, growth + (np.outer(power, power) + improper) / batch
