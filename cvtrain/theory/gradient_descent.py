"""Gradient descent on the mean squared error of a complex linear model (see `cvtrain.theory`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvtrain.config.argument_checks import check_integer, check_number
from cvtrain.theory.moments import (
    RealArray,
    effective_rate,
    eigenvalues_of,
    hermitian,
    nominal_rate,
)


@dataclass(frozen=True)
class Fastest:
    """The settings at which an error shrinks fastest.

    Attributes:
        lr: the learning rate.
        rate: factor of the error per step, in [0, 1): of ‖ε‖ for gradient descent, of E[ε εᴴ] for
            LMS.
        momentum: β of `torch.optim.SGD`.
    """

    lr: float
    rate: float
    momentum: float = 0.0


def gd_stability_limit(
    covariance: npt.ArrayLike,
    *,
    momentum: float = 0.0,
    nesterov: bool = False,
    gradient_factor: float = 1.0,
) -> float:
    """The lr below which `torch.optim.SGD` on the full batch converges; at this lr it does not.

    With the largest eigenvalue λ of R: 1/λ plain, (1 + β)/λ for the heavy ball (Polyak 1964) and
    (1 + β)/((1 + 2β) λ) for PyTorch's Nesterov momentum. The Hessian over (Re w, Im w) is 2λ, hence
    half of the familiar 2/λ. Nesterov: the pair (w, lr·buffer) along an eigenvector has trace
    1 + β − α(1 + β) and determinant β(1 − α) with α = 2·lr·λ, and leaves the disc at −1.

    Args:
        covariance: R `[M, M]`, Hermitian, positive semidefinite, not 0.
        momentum: β in [0, 1); dampening is 0.
        nesterov: as in `torch.optim.SGD`.
        gradient_factor: factor on PyTorch's gradient.

    Raises:
        ValueError: an argument is out of range.
    """
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum={momentum}: should be at least 0 and below 1")
    largest = float(eigenvalues_of(covariance)[-1])
    slowdown = 1 + 2 * momentum if nesterov else 1.0
    return nominal_rate((1 + momentum) / (slowdown * largest), gradient_factor)


def gd_fastest(covariance: npt.ArrayLike, *, gradient_factor: float = 1.0) -> Fastest:
    """Plain gradient descent: lr = 1/(λmax + λmin), where ‖ε‖ shrinks by (κ − 1)/(κ + 1) per step.

    κ = λmax/λmin are of `covariance`, R `[M, M]`, Hermitian positive definite; `gradient_factor`
    multiplies PyTorch's gradient.

    Raises:
        ValueError: an argument is out of range.
    """
    eigenvalues = eigenvalues_of(covariance, definite=True)
    least, largest = float(eigenvalues[0]), float(eigenvalues[-1])
    total = largest + least
    return Fastest(nominal_rate(1 / total, gradient_factor), rate=(largest - least) / total)


def heavy_ball_fastest(covariance: npt.ArrayLike, *, gradient_factor: float = 1.0) -> Fastest:
    """Momentum without Nesterov: lr = 2/(√λmax + √λmin)², β = ((√κ − 1)/(√κ + 1))² (Polyak 1964).

    ‖ε‖ shrinks by the rate √β per step, up to a factor linear in the number of steps: the
    extreme eigenvalues give double roots. κ = λmax/λmin are of `covariance`, R `[M, M]`, Hermitian
    positive definite; `gradient_factor` multiplies PyTorch's gradient.

    Raises:
        ValueError: an argument is out of range.
    """
    eigenvalues = eigenvalues_of(covariance, definite=True)
    least, largest = math.sqrt(eigenvalues[0]), math.sqrt(eigenvalues[-1])
    total = largest + least
    rate = (largest - least) / total
    return Fastest(nominal_rate(2 / total**2, gradient_factor), rate=rate, momentum=rate**2)


def gd_learning_curve(
    covariance: npt.ArrayLike,
    error: npt.ArrayLike,
    *,
    lr: float,
    steps: int,
    minimum: float = 0.0,
    gradient_factor: float = 1.0,
) -> RealArray:
    """The losses L_0 … L_steps `[steps + 1]` of plain gradient descent on the full batch.

    L_t = L_min + Σᵢ λᵢ |vᵢ|² (1 − 2·lr·λᵢ)^{2t}, v = Vᴴ(w₀ − w°), R = V Λ Vᴴ (Widrow et al. 1975);
    infinite if a diverging loss overflows.

    Args:
        covariance: R `[M, M]`, Hermitian, positive semidefinite, not 0.
        error: w₀ − w° `[M]`.
        lr: positive.
        steps: at least 0.
        minimum: L_min, at least 0.
        gradient_factor: factor on PyTorch's gradient.

    Raises:
        ValueError: an argument is out of range.
    """
    effective = effective_rate(lr, gradient_factor)
    check_integer("steps", steps, minimum=0)
    check_number("minimum", minimum, minimum=0)
    eigenvalues_of(covariance)
    eigenvalues, vectors = np.linalg.eigh(hermitian("covariance", covariance))
    initial = np.asarray(error, dtype=np.complex128)
    if initial.shape != eigenvalues.shape:
        raise ValueError(f"error of shape {list(initial.shape)}: should be [{eigenvalues.size}]")

    # The first row holds the contribution of each mode to L_0, each further row its factor per
    # step.
    modes = np.tile((1 - 2 * effective * eigenvalues) ** 2, (steps + 1, 1))
    modes[0] = eigenvalues * np.abs(vectors.conj().T @ initial) ** 2
    with np.errstate(over="ignore"):
        curve: RealArray = minimum + np.cumprod(modes, axis=0).sum(axis=1)
    return curve
