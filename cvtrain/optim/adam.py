"""Adam, AMSGrad and AdamW."""

from __future__ import annotations

from dataclasses import KW_ONLY, field
from typing import ClassVar

import torch
from torch import Tensor

from cvtrain.gradients.stacked_number import column, float64, power
from cvtrain.optim.hyperparameters import Betas, Nonnegative
from cvtrain.optim.rule import Hyperparameters, Rule, Update
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import RealView, State, StateLayout
from cvtrain.optim.weight_decay import decay


class AdamRule(Rule):
    """The step of `Adam`; with amsgrad the largest v is initially the first v."""

    state_layout: ClassVar[StateLayout] = {
        "step": "number",
        "exp_avg": "tensor",
        "exp_avg_sq": "magnitude",
        "max_exp_avg_sq": "magnitude",
    }
    set_at_first_step = frozenset({"max_exp_avg_sq"})

    def update(self, w: Tensor, g: Tensor, state: State, h: Hyperparameters) -> Update:
        """Return the next w, [K, ...] in its dtype, and the next t, m, v."""
        lr, eps = h["lr"], h["eps"]
        beta1, beta2 = map(float64, h["betas"])
        t = state["step"].cpu() + 1
        view = RealView(w, self.semantics)
        w, g = decay(w, g, h)

        w, g, m, v = map(view.of, (w, g, state["exp_avg"], state["exp_avg_sq"]))
        m = torch.lerp(m, g, column(1 - beta1, m))
        v = view.mean_square(v, g, beta2)
        after = {"step": t, "exp_avg": m, "exp_avg_sq": v}
        if h["amsgrad"]:
            largest = state.get("max_exp_avg_sq")
            v = v.clone() if largest is None else torch.maximum(view.of(largest), v)
            after["max_exp_avg_sq"] = v

        root_correction = power(1 - power(beta2, t), 0.5)
        r = v.sqrt().div_(column(root_correction, v)).add_(column(eps, v))
        step_size = float64(lr) / (1 - power(beta1, t))
        return view.back(torch.addcdiv(w, column(-step_size, m) * m, r), after)


class Adam(RuleOptimizer):
    """Adam: first and second moment estimates m and v, corrected for their start at zero.

    At step t = 1, 2, …, for Re and Im separately (`split`), with g ← g + λw, or with
    w ← (1 − lr·λ)w under `decoupled_weight_decay`::

        m ← β₁m + (1 − β₁)g
        v ← β₂v + (1 − β₂)g²            |g|² under `modulus`, one v for both
        r = √(v / (1 − β₂ᵗ)) + eps      of the largest v so far, with `amsgrad`
        w ← w − lr/(1 − β₁ᵗ) · m / r

    Under g → c·g the same weights come from c·eps and, if coupled, c·λ. The first step for
    g = 3+4i is lr·(−1−1i) as eps → 0, and lr·(−0.6−0.8i) under `modulus`.

    Kingma and Ba 2015, Adam: a method for stochastic optimization; Reddi et al. 2018, On the
    convergence of Adam and beyond (AMSGrad); Loshchilov and Hutter 2019, Decoupled weight decay
    regularization. `split` has the bits of torch.optim.Adam with foreach=False.

    Args:
        params: parameters, or parameter groups.
        lr: learning rate.
        betas: decay rates (β₁, β₂) of the moments.
        eps: added to the root of the second moment.
        weight_decay: weight decay λ.
        amsgrad: divide by the largest second moment so far.
        decoupled_weight_decay: shrink the weights instead of adding λw to the gradient.
        semantics: `split` (Re and Im as two reals) or `modulus` (one complex number).
        stacked: every parameter has a leading axis K; numbers may be [K] tensors.

    Raises:
        ValueError: a hyperparameter is out of range or NaN.
    """

    rule_class = AdamRule
    lr: Nonnegative = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: Nonnegative = 1e-8
    weight_decay: Nonnegative = 0.0
    amsgrad: bool = False
    _: KW_ONLY
    decoupled_weight_decay: bool = False


class AdamW(Adam):
    """`Adam` with decoupled weight decay λ = `weight_decay`: w ← (1 − lr·λ)w before each step.

    The arguments and formulas are those of `Adam`, without `decoupled_weight_decay`. Under g → c·g
    the same weights come from c·eps.

    Loshchilov and Hutter 2019, Decoupled weight decay regularization. `split` has the bits of
    torch.optim.AdamW with foreach=False.
    """

    weight_decay: Nonnegative = 1e-2
    decoupled_weight_decay: bool = field(default=True, init=False)
