"""Closed forms of gradient descent and LMS for a complex linear model.

The model is y = Xw, its loss L = mean|y − Xw|² with minimizer w°. One row of X is xᵀ, and u = x* is
what multiplies the error in the update. With that u, one R serves gradient descent and LMS:

    R = E[u uᴴ] = XᴴX/N,    P = E[u uᵀ] = (XᵀX/N)*,    ε = w° − w,    K = E[ε εᴴ]

(Those who write R = E[x xᴴ] mean the conjugates of all three; no result but K itself changes.)

PyTorch's gradient g = ∂L/∂Re w + i ∂L/∂Im w = 2 ∂L/∂w* makes the step of `torch.optim.SGD` on a
batch of B samples, with e = y − xᵀw = uᴴε + ν,

    w ← w + μ mean(e u),    μ = 2 · lr · gradient_factor

`gradient_factor` is what multiplies g before the optimizer sees it: ½ for ∂L/∂w* itself
(Brandwood 1983; Haykin) or for a loss with ½ in front, 1 for PyTorch and Widrow et al. 1975.
Learning rates are PyTorch's `lr` throughout, so each limit is inversely proportional to it.

LMS rests on the usual assumptions: u is zero-mean Gaussian, the samples are independent of each
other and of ε, and the noise ν is zero-mean, independent of u, with E|ν|² = J_min; it need not be
circular. The batch is drawn afresh at each step, not from a finite set without replacement.

Widely-linear LMS (augmented CLMS: Mandic and Goh 2009; Xia and Mandic 2017), y = xᵀh + xᴴg, is LMS
of the augmented input [x; x*]: every function here takes what `augmented` makes of R and P.
"""

from cvtrain.theory.gradient_descent import (
    Fastest,
    gd_fastest,
    gd_learning_curve,
    gd_stability_limit,
    heavy_ball_fastest,
)
from cvtrain.theory.learning_rate_factor import epsilon_octaves, factor_octaves, flow_shift
from cvtrain.theory.lms import (
    lms_contraction,
    lms_excess_curve,
    lms_fastest,
    lms_mean_limit,
    lms_mean_square_limit,
    lms_misadjustment,
)
from cvtrain.theory.moments import augmented, sample_moments

__all__ = [
    "Fastest",
    "augmented",
    "epsilon_octaves",
    "factor_octaves",
    "flow_shift",
    "gd_fastest",
    "gd_learning_curve",
    "gd_stability_limit",
    "heavy_ball_fastest",
    "lms_contraction",
    "lms_excess_curve",
    "lms_fastest",
    "lms_mean_limit",
    "lms_mean_square_limit",
    "lms_misadjustment",
    "sample_moments",
]
