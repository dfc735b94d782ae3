"""The octaves by which a factor on the gradient moves a learning-rate curve: from the gradient's
complex share, and for Adam from eps.

Under gradient flow w' = −rate·g the loss falls at dL/dt = −rate·(C + R), where C and R are the sums
of |g|² over complex and real parameters. A convention that multiplies the gradient of complex
parameters by c makes this −rate·(c·C + R): at the same weights the loss falls 1 − (1 − c)·s times
as fast, with s = C/(C + R). A rate that is larger by the inverse factor restores the speed, so the
curve of the loss over the learning rate moves by −log₂(1 − (1 − c)·s) octaves.

This is exact if s is 0 or 1, and otherwise holds to first order in time. Two effects are left out:
s changes along the training, and the path changes, since complex parameters lag behind if c < 1.
For the first, the time to a level of the loss is the integral of dt over the path, so the inverse
speed is averaged over time. For the second, `flow_shift` is exact for a quadratic loss.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from cvtrain.theory.moments import RealArray, check_positive

HALVINGS = 200
"""Number of halvings of the interval in which the time to a level is searched."""


def factor_octaves(
    shares: npt.ArrayLike, times: npt.ArrayLike | None = None, *, gradient_factor: float = 0.5
) -> float:
    """Octaves by which the curve of the loss over the learning rate moves to the right::

        log₂ mean_t 1 / (1 − (1 − gradient_factor)·s(t))

    with the mean over time by the trapezoidal rule; for a single share −log₂(1 − (1 − c)·s).

    Args:
        shares: s `[n]` along a training of the reference, each in [0, 1]; or a single share.
        times: `[n]`, ascending, e.g. numbers of updates; None: equally spaced.
        gradient_factor: c > 0, the factor on the gradient of complex parameters.

    Raises:
        ValueError: an argument is out of range, or the shapes differ.
    """
    check_positive("gradient_factor", gradient_factor)
    s = np.atleast_1d(np.asarray(shares, dtype=np.float64))
    t = np.arange(len(s), dtype=np.float64) if times is None else np.asarray(times, np.float64)
    if s.ndim != 1 or t.shape != s.shape or (np.diff(t) <= 0).any():
        raise ValueError("times: should be as many as shares, and ascending")
    if not ((s >= 0) & (s <= 1)).all():
        raise ValueError("shares: should be from 0 to 1")
    slower = 1 / (1 - (1 - gradient_factor) * s)
    mean = slower[0] if len(s) == 1 else np.trapezoid(slower, t) / (t[-1] - t[0])
    return math.log2(float(mean))


def epsilon_octaves(ratio: float, *, gradient_factor: float = 0.5) -> float:
    """Octaves by which Adam's curve of the loss over the learning rate moves to the right if the
    gradient is multiplied by c = `gradient_factor` and eps stays the same::

        log₂ (1 + r/c) / (1 + r),    r = eps/|g|

    Adam with gradient c·g and eps takes the same steps as with g and eps/c. If all entries of the
    gradient have one constant size |g|, these are as long as lr·|g|/(|g| + eps/c), and the formula
    is exact. It is 0 as r → 0 and log₂(1/c) as r → ∞, whatever the sizes are. Where they differ,
    the change from one to the other takes more octaves of eps.

    Args:
        ratio: r ≥ 0; may be infinite.
        gradient_factor: c > 0.

    Raises:
        ValueError: an argument is out of range.
    """
    check_positive("gradient_factor", gradient_factor)
    if not ratio >= 0:
        raise ValueError(f"ratio={ratio}: should be at least 0")
    if math.isinf(ratio):
        return -math.log2(gradient_factor)
    # log1p, so that the octaves of r = 1e-12 have all their digits.
    return (math.log1p(ratio / gradient_factor) - math.log1p(ratio)) / math.log(2)


def flow_shift(
    energies: npt.ArrayLike,
    curvatures: npt.ArrayLike,
    is_complex: npt.ArrayLike,
    level: float,
    *,
    gradient_factor: float = 0.5,
) -> float:
    """Octaves between the rates at which gradient flow on a quadratic reaches a given loss at the
    same time, with and without the factor on the gradient of complex modes.

    The loss is Σ eᵢ·exp(−2·cᵢ·λᵢ·t), with cᵢ = `gradient_factor` in complex modes and 1 in real
    ones: each error decays as exp(−cᵢ·λᵢ·t).

    Args:
        energies: eᵢ `[n]`, the initial loss of each mode, at least 0, not all 0.
        curvatures: λᵢ `[n]`, eigenvalues of the Hessian over real coordinates, positive.
        is_complex: `[n]`, bool: which modes are complex.
        level: share of the initial loss to be reached, in (0, 1).
        gradient_factor: c > 0.

    Raises:
        ValueError: an argument is out of range, or the shapes differ.
    """
    e, curved = (np.asarray(a, dtype=np.float64) for a in (energies, curvatures))
    complex_ones = np.asarray(is_complex, dtype=bool)
    if e.ndim != 1 or e.shape != curved.shape or e.shape != complex_ones.shape:
        raise ValueError("energies, curvatures and is_complex: should be as many")
    if (e < 0).any() or not e.sum() > 0 or not (curved > 0).all():
        raise ValueError("energies: should be at least 0, not all 0; curvatures: positive")
    if not 0 < level < 1:
        raise ValueError(f"level={level}: should be between 0 and 1")
    check_positive("gradient_factor", gradient_factor)
    plain = _time_to(e, curved, level)
    slowed = np.where(complex_ones, gradient_factor, 1.0) * curved
    return math.log2(_time_to(e, slowed, level) / plain)


def _time_to(energies: RealArray, rates: RealArray, level: float) -> float:
    """The time at which Σ energies·exp(−2·rates·t) has fallen to this share of itself, by
    bisection."""
    low, high = 0.0, -math.log(level) / (2 * float(rates.min()))
    goal = level * energies.sum()
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if (energies * np.exp(-2 * rates * middle)).sum() > goal:
            low = middle
        else:
            high = middle
    return (low + high) / 2
