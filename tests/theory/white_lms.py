"""LMS with white input, where every figure is a short formula of a = μσ² (see `cvtrain.theory`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class WhiteInput:
    """Independent taps with R = σ² I and P = ρ σ² I, if need be after a unitary change of basis.

    One step multiplies E‖ε‖² by f = 1 − 2a + a²(1 + (M + ρ²)/B), a = μσ² = 2·lr·gradient_factor·σ².

    Attributes:
        taps: M, at least 1.
        power: σ² = E|x|² of one tap, positive.
        circularity: ρ = |E x²|/E|x|², from 0 (circular) to 1 (real).
        gradient_factor: what multiplies PyTorch's gradient.
    """

    taps: int
    power: float = 1.0
    circularity: float = 0.0
    gradient_factor: float = 1.0

    def moments(self):
        """R and P, both `[M, M]`."""
        identity = np.eye(self.taps, dtype=np.complex128)
        return self.power * identity, self.circularity * self.power * identity

    def fastest(self, batch=1):
        """The lr of the smallest f, and that f: a = 1/(1 + (M + ρ²)/B), where f = 1 − a."""
        a = 1 / self._spread(batch)
        return a / (2 * self.power * self.gradient_factor), 1 - a

    def mean_square_limit(self, batch=1):
        """The lr below which LMS converges in mean square: a < 2/(1 + (M + ρ²)/B).

        For one sample at a time a < 2/(M + 1 + ρ²), between 2/(M + 1) of circular and 2/(M + 2) of
        real input. Twice that of `fastest`.
        """
        return 2 * self.fastest(batch)[0]

    def contraction(self, lr, batch=1):
        """f, the factor of E‖ε‖² per step where there is no noise."""
        a = self._gain(lr)
        return 1 - 2 * a + a**2 * self._spread(batch)

    def misadjustment(self, lr, batch=1):
        """The steady state's excess error over J_min: (aM/B)/(2 − a(1 + (M + ρ²)/B)).

        Infinite from `mean_square_limit` on.
        """
        a = self._gain(lr)
        room = 2 - a * self._spread(batch)
        return a * self.taps / (batch * room) if room > 0 else math.inf

    def widely_linear_mean_limit(self):
        """The lr below which E[w] of the widely-linear filter converges: a < 2/(1 + ρ)."""
        return 1 / (self.power * (1 + self.circularity) * self.gradient_factor)

    def widely_linear_misadjustment(self, lr):
        """S/(1 − S), S = (M/2) Σ± a(1 ± ρ)/(1 − a(1 ± ρ)), one sample at a time; infinite if S ≥ 1.

        The widely-linear filter is two real LMS filters of 2M taps [Re x; Im x] with twice the
        gain. For ρ = 0 it is stable below a = 1/(M + 1), half the linear filter's limit.
        """
        gains = [self._gain(lr) * (1 + sign * self.circularity) for sign in (1, -1)]
        if max(gains) >= 1:
            return math.inf
        s = self.taps / 2 * sum(gain / (1 - gain) for gain in gains)
        return s / (1 - s) if s < 1 else math.inf

    def _gain(self, lr):
        return 2 * self.power * lr * self.gradient_factor

    def _spread(self, batch):
        return 1 + (self.taps + self.circularity**2) / batch
