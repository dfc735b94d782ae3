"""Adamax."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from cvtrain.gradients.stacked_number import column, float64, power
from cvtrain.optim.hyperparameters import Betas, Nonnegative
from cvtrain.optim.rule import Hyperparameters, Rule, Update
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import RealView, State, StateLayout
from cvtrain.optim.weight_decay import coupled


class AdamaxRule(Rule):
    """The step of `Adamax`."""

    state_layout: ClassVar[StateLayout] = {
        "step": "number",
        "exp_avg": "tensor",
        "exp_inf": "magnitude",
    }

    def update(self, w: Tensor, g: Tensor, state: State, h: Hyperparameters) -> Update:
        """Return the next w, [K, ...] in its dtype, and the next t, m, u."""
        beta1, beta2 = map(float64, h["betas"])
        t = state["step"].cpu() + 1
        view = RealView(w, self.semantics)
        g = view.of(coupled(g, w, h["weight_decay"]))
        w, m, u = map(view.of, (w, state["exp_avg"], state["exp_inf"]))

        m = torch.lerp(m, g, column(1 - beta1, m))
        u = torch.maximum(column(beta2, u) * u, view.magnitude(g) + column(h["eps"], u))
        step_size = float64(h["lr"]) / (1 - power(beta1, t))
        w = torch.addcdiv(w, column(-step_size, m) * m, u)
        return view.back(w, {"step": t, "exp_avg": m, "exp_inf": u})


class Adamax(RuleOptimizer):
    """Adam with the largest decayed magnitude u instead of the root of the second moment.

    At step t = 1, 2, …, for Re and Im separately (`split`), with g ← g + λw::

        m ← β₁m + (1 − β₁)g
        u ← max(β₂u, |g| + eps)   |g| of the complex entry under `modulus`, one u for both
        w ← w − lr/(1 − β₁ᵗ) · m / u

    Under g → c·g the same weights come from c·eps and c·λ.

    Kingma and Ba 2015, Adam: a method for stochastic optimization, section 7.1. `split` has the
    bits of torch.optim.Adamax with foreach=False.

    Args:
        params: parameters, or parameter groups.
        lr: learning rate.
        betas: decay rates (β₁, β₂) of the moments.
        eps: added to the magnitude.
        weight_decay: coupled weight decay λ.
        semantics: `split` (Re and Im as two reals) or `modulus` (one complex number).
        stacked: every parameter has a leading axis K; numbers may be [K] tensors.

    Raises:
        ValueError: a hyperparameter is out of range or NaN.
    """

    rule_class = AdamaxRule
    lr: Nonnegative = 2e-3
    betas: Betas = (0.9, 0.999)
    eps: Nonnegative = 1e-8
    weight_decay: Nonnegative = 0.0
