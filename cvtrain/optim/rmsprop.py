"""RMSprop."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from cvtrain.gradients.stacked_number import column, float64, where_nonzero
from cvtrain.optim.hyperparameters import Nonnegative
from cvtrain.optim.rule import Hyperparameters, Rule, Update
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import RealView, State, StateLayout
from cvtrain.optim.weight_decay import coupled


class RMSpropRule(Rule):
    """The step of `RMSprop`; m and b are in the state only if they are used."""

    state_layout: ClassVar[StateLayout] = {
        "step": "number",
        "square_avg": "magnitude",
        "grad_avg": "tensor",
        "momentum_buffer": "tensor",
    }
    set_at_first_step = frozenset({"grad_avg", "momentum_buffer"})

    def update(self, w: Tensor, g: Tensor, state: State, h: Hyperparameters) -> Update:
        """Return the next w, [K, ...] in its dtype, and the next t, v, m and b."""
        lr, alpha, eps, mu = (h[name] for name in ("lr", "alpha", "eps", "momentum"))
        zero = torch.zeros_like(w)
        view = RealView(w, self.semantics)
        g = view.of(coupled(g, w, h["weight_decay"]))
        w, v = view.of(w), view.of(state["square_avg"])

        v = view.mean_square(v, g, alpha)
        after = {"step": state["step"].cpu() + 1, "square_avg": v}
        variance = v
        if h["centered"]:
            m = torch.lerp(view.of(state.get("grad_avg", zero)), g, column(1 - float64(alpha), g))
            after["grad_avg"] = m
            variance = view.minus_square(v, m)
        r = variance.sqrt().add_(column(eps, v))
        plain = torch.addcdiv(w, column(-lr, g) * g, r)
        if isinstance(mu, Tensor) or mu != 0:
            b = view.of(state.get("momentum_buffer", zero))
            b = (column(mu, b) * b).addcdiv_(g, r)
            after["momentum_buffer"] = b
            plain = where_nonzero(mu, lambda: torch.addcmul(w, column(-lr, w), b), plain=plain)
        return view.back(plain, after)


class RMSprop(RuleOptimizer):
    """RMSprop: the gradient over the root of its mean square, with momentum μ.

    For Re and Im separately (`split`), with g ← g + λw::

        v ← αv + (1 − α)g²               |g|² under `modulus`, one v and one r for both
        m ← m + (1 − α)(g − m)           with `centered`, else m = 0
        r = √(v − m²) + eps              |m|² likewise
        b ← μb + g/r                     b = g/r for μ = 0
        w ← w − lr·b

    Under g → c·g the same weights come from c·eps and c·λ. The first step for g = 3+4i is
    lr/√(1 − α)·(−1−1i) as eps → 0, and lr/√(1 − α)·(−0.6−0.8i) under `modulus`.

    Tieleman and Hinton 2012, Neural networks for machine learning, lecture 6.5; centred: Graves
    2013, arXiv:1308.0850, equations 38–45 with eps inside the root. `split` has the bits of
    torch.optim.RMSprop with foreach=False.

    Args:
        params: parameters, or parameter groups.
        lr: learning rate.
        alpha: α, the weight of the old value in the mean square.
        eps: added to the root of the mean square.
        weight_decay: coupled weight decay λ.
        momentum: momentum μ.
        centered: subtract the squared mean, which makes the mean square a variance.
        semantics: `split` (Re and Im as two reals) or `modulus` (one complex number).
        stacked: every parameter has a leading axis K; numbers may be [K] tensors.

    Raises:
        ValueError: a hyperparameter is out of range or NaN.
    """

    rule_class = RMSpropRule
    lr: Nonnegative = 1e-2
    alpha: Nonnegative = 0.99
    eps: Nonnegative = 1e-8
    weight_decay: Nonnegative = 0.0
    momentum: Nonnegative = 0.0
    centered: bool = False
