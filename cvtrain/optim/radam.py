"""RAdam."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from cvtrain.gradients.stacked_number import column, float64, power
from cvtrain.optim.hyperparameters import Betas, Nonnegative
from cvtrain.optim.rule import Hyperparameters, Rule, Update
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import RealView, State, StateLayout
from cvtrain.optim.weight_decay import decay

ADAPTED_ABOVE = 5.0
"""Length ρ of the moving average above which the second moment is used."""


class RAdamRule(Rule):
    """The step of `RAdam`."""

    state_layout: ClassVar[StateLayout] = {
        "step": "number",
        "exp_avg": "tensor",
        "exp_avg_sq": "magnitude",
    }

    def update(self, w: Tensor, g: Tensor, state: State, h: Hyperparameters) -> Update:
        """Return the next w, [K, ...] in its dtype, and the next t, m, v."""
        lr, eps = h["lr"], h["eps"]
        beta1, beta2 = map(float64, h["betas"])
        t = state["step"].cpu() + 1
        view = RealView(w, self.semantics)
        w, g, m, v = map(view.of, (w, g, state["exp_avg"], state["exp_avg_sq"]))
        w, g = decay(w, g, h)

        m = torch.lerp(m, g, column(1 - beta1, m))
        v = view.mean_square(v, g, beta2)
        d = m.div(column(1 - power(beta1, t), m)).mul_(column(lr, m))
        correction = 1 - power(beta2, t)
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * t.double() * power(beta2, t) / correction
        adapted = rho > ADAPTED_ABOVE
        if bool(adapted.any()):
            q = power((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho), 0.5)
            # Not a division by r: torch divides a number by a tensor with these two roundings.
            inverse = v.sqrt().add_(column(eps, v)).reciprocal_()
            rectified = d * (inverse * column(power(correction, 0.5), v)) * column(q, v)
            d = torch.where(column(adapted, v).bool(), rectified, d)
        return view.back(w - d, {"step": t, "exp_avg": m, "exp_avg_sq": v})


class RAdam(RuleOptimizer):
    """Adam with a rectified start: plain momentum until the second moment is reliable.

    At step t = 1, 2, …, for Re and Im separately (`split`), with g ← g + λw, or with
    w ← (1 − lr·λ)w under `decoupled_weight_decay`::

        m ← β₁m + (1 − β₁)g
        v ← β₂v + (1 − β₂)g²      |g|² under `modulus`, one v for both
        d = lr·m / (1 − β₁ᵗ)
        ρ∞ = 2/(1 − β₂) − 1,  ρ = ρ∞ − 2t·β₂ᵗ/(1 − β₂ᵗ)
        w ← w − d                                        while ρ ≤ 5
        w ← w − d·√(1 − β₂ᵗ)/(√v + eps)·q                then, with
        q = √[(ρ − 4)(ρ − 2)ρ∞ / ((ρ∞ − 4)(ρ∞ − 2)ρ)]

    The first steps are linear in g and the later ones are not: under g → c·g they need lr/c and lr,
    beside c·eps and (if coupled) c·λ. No constant map gives the same weights.

    Liu et al. 2020, On the variance of the adaptive learning rate and beyond. `split` has the bits
    of torch.optim.RAdam with foreach=False.

    Args:
        params: parameters, or parameter groups.
        lr: learning rate.
        betas: decay rates (β₁, β₂) of the moments.
        eps: added to the root of the second moment.
        weight_decay: weight decay λ.
        decoupled_weight_decay: shrink the weights instead of adding λw to the gradient.
        semantics: `split` (Re and Im as two reals) or `modulus` (one complex number).
        stacked: every parameter has a leading axis K; numbers may be [K] tensors.

    Raises:
        ValueError: a hyperparameter is out of range or NaN.
    """

    rule_class = RAdamRule
    lr: Nonnegative = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: Nonnegative = 1e-8
    weight_decay: Nonnegative = 0.0
    decoupled_weight_decay: bool = False
