"""LMS with white input, where every figure is a short formula of a = μσ² (see `cvtrain.theory`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cvtrain.config.argument_checks import check_integer, check_number
from cvtrain.theory.gradient_descent import Fastest
from cvtrain.theory.moments import ComplexArray, check_positive, effective_rate, nominal_rate


@dataclass(frozen=True)
class WhiteInput:
    """Independent taps with R = σ² I and P = ρ σ² I, if need be after a unitary change of basis.

    One step multiplies E‖ε‖² by f = 1 − 2a + a²(1 + (M + ρ²)/B), a = μσ² = 2·lr·gradient_factor·σ².

    Attributes:
        taps: M, at least 1.
        power: σ² = E|x|² of one tap, positive.
        circularity: ρ = |E x²|/E|x|², from 0 (circular) to 1 (real).
    """

    taps: int
    power: float = 1.0
    circularity: float = 0.0

    def __post_init__(self) -> None:
        check_integer("taps", self.taps, minimum=1)
        check_positive("power", self.power)
        check_number("circularity", self.circularity, minimum=0, maximum=1)

    def moments(self) -> tuple[ComplexArray, ComplexArray]:
        """R and P, both `[M, M]`."""
        identity = np.eye(self.taps, dtype=np.complex128)
        return self.power * identity, self.circularity * self.power * identity

    def mean_square_limit(self, *, batch: int = 1, gradient_factor: float = 1.0) -> float:
        """The lr below which LMS converges in mean square: a < 2/(1 + (M + ρ²)/B).

        For one sample at a time a < 2/(M + 1 + ρ²), between 2/(M + 1) of circular and 2/(M + 2) of
        real input. Twice `fastest`.

        Raises:
            ValueError: an argument is out of range.
        """
        return 2 * self.fastest(batch=batch, gradient_factor=gradient_factor).lr

    def fastest(self, *, batch: int = 1, gradient_factor: float = 1.0) -> Fastest:
        """The lr of the smallest f: a = 1/(1 + (M + ρ²)/B), where f = 1 − a; the rate is f.

        Raises:
            ValueError: an argument is out of range.
        """
        a = 1 / self._spread(batch)
        return Fastest(nominal_rate(a / (2 * self.power), gradient_factor), rate=1 - a)

    def contraction(self, *, lr: float, batch: int = 1, gradient_factor: float = 1.0) -> float:
        """f, the factor of E‖ε‖² per step where there is no noise.

        Raises:
            ValueError: an argument is out of range.
        """
        a = 2 * self.power * effective_rate(lr, gradient_factor)
        return 1 - 2 * a + a**2 * self._spread(batch)

    def misadjustment(self, *, lr: float, batch: int = 1, gradient_factor: float = 1.0) -> float:
        """The steady state's excess error over J_min: (aM/B)/(2 − a(1 + (M + ρ²)/B)).

        Infinite from `mean_square_limit` on.

        Raises:
            ValueError: an argument is out of range.
        """
        a = 2 * self.power * effective_rate(lr, gradient_factor)
        room = 2 - a * self._spread(batch)
        return a * self.taps / (batch * room) if room > 0 else math.inf

    def widely_linear_mean_limit(self, *, gradient_factor: float = 1.0) -> float:
        """The lr below which E[w] of the widely-linear filter converges: a < 2/(1 + ρ).

        Raises:
            ValueError: gradient_factor is not positive.
        """
        return nominal_rate(1 / (self.power * (1 + self.circularity)), gradient_factor)

    def widely_linear_misadjustment(self, *, lr: float, gradient_factor: float = 1.0) -> float:
        """S/(1 − S), S = (M/2) Σ± a(1 ± ρ)/(1 − a(1 ± ρ)), one sample at a time; infinite if S ≥ 1.

        The widely-linear filter is two real LMS filters of 2M taps [Re x; Im x] with twice the
        gain. For ρ = 0 it is stable below a = 1/(M + 1), half the linear filter's limit.

        Raises:
            ValueError: an argument is out of range.
        """
        a = 2 * self.power * effective_rate(lr, gradient_factor)
        gains = [a * (1 + sign * self.circularity) for sign in (1, -1)]
        if max(gains) >= 1:
            return math.inf
        s = self.taps / 2 * sum(gain / (1 - gain) for gain in gains)
        return s / (1 - s) if s < 1 else math.inf

    def _spread(self, batch: int) -> float:
        check_integer("batch", batch, minimum=1)
        return 1 + (self.taps + self.circularity**2) / batch
