"""NAdam."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from cvtrain.gradients.stacked_number import Number, column, float64, power
from cvtrain.optim.hyperparameters import Betas, Nonnegative
from cvtrain.optim.rule import Hyperparameters, Rule, Update
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import RealView, State, StateLayout
from cvtrain.optim.weight_decay import decay


class NAdamRule(Rule):
    """The step of `NAdam`."""

    state_layout: ClassVar[StateLayout] = {
        "step": "number",
        "mu_product": "number",
        "exp_avg": "tensor",
        "exp_avg_sq": "magnitude",
    }

    def init(self, w: Tensor) -> State:
        """t = 0 and Π = 1, float32 [K] on the CPU; m = v = 0."""
        state = super().init(w)
        return state | {"mu_product": torch.ones_like(state["mu_product"])}

    def update(self, w: Tensor, g: Tensor, state: State, h: Hyperparameters) -> Update:
        """Return the next w, [K, ...] in its dtype, and the next t, Π, m, v."""
        lr, eps = h["lr"], h["eps"]
        beta1, beta2 = map(float64, h["betas"])
        t = state["step"].cpu() + 1
        view = RealView(w, self.semantics)
        w, g, m, v = map(view.of, (w, g, state["exp_avg"], state["exp_avg_sq"]))
        w, g = decay(w, g, h)

        mu, mu_next = (
            beta1 * (1 - 0.5 * power(0.96, at * float64(h["momentum_decay"])))
            for at in (t.double(), t.double() + 1)
        )
        mu_product = state["mu_product"].cpu().float() * mu.float()  # float32, as in torch
        product, product_next = mu_product.double(), mu_product.double() * mu_next
        m = torch.lerp(m, g, column(1 - beta1, m))
        v = view.mean_square(v, g, beta2)
        r = v.div(column(1 - power(beta2, t), v)).sqrt_().add_(column(eps, v))
        w = _step(w, -float64(lr) * (1 - mu) / (1 - product), g, r)
        w = _step(w, -float64(lr) * mu_next / (1 - product_next), m, r)
        return view.back(w, {"step": t, "mu_product": mu_product, "exp_avg": m, "exp_avg_sq": v})


def _step(w: Tensor, factor: Number, d: Tensor, r: Tensor) -> Tensor:
    return torch.addcdiv(w, column(factor, d) * d, r)


class NAdam(RuleOptimizer):
    """Adam with Nesterov momentum, whose coefficient μₜ rises over time.

    At step t = 1, 2, …, for Re and Im separately (`split`), with g ← g + λw, or with
    w ← (1 − lr·λ)w under `decoupled_weight_decay`::

        μₜ = β₁·(1 − ½·0.96^(t·momentum_decay)),  Πₜ = μ₁⋯μₜ
        m ← β₁m + (1 − β₁)g
        v ← β₂v + (1 − β₂)g²      |g|² under `modulus`, one v for both
        r = √(v / (1 − β₂ᵗ)) + eps
        w ← w − lr·[(1 − μₜ)/(1 − Πₜ)·g + μₜ₊₁/(1 − Πₜ₊₁)·m] / r

    Under g → c·g the same weights come from c·eps and, if coupled, c·λ.

    Dozat 2016, Incorporating Nesterov momentum into Adam. `split` has the bits of torch.optim.NAdam
    with foreach=False.

    Args:
        params: parameters, or parameter groups.
        lr: learning rate.
        betas: decay rates (β₁, β₂) of the moments.
        eps: added to the root of the second moment.
        weight_decay: weight decay λ.
        momentum_decay: rate at which μₜ rises to β₁.
        decoupled_weight_decay: shrink the weights instead of adding λw to the gradient.
        semantics: `split` (Re and Im as two reals) or `modulus` (one complex number).
        stacked: every parameter has a leading axis K; numbers may be [K] tensors.

    Raises:
        ValueError: a hyperparameter is out of range or NaN.
    """

    rule_class = NAdamRule
    lr: Nonnegative = 2e-3
    betas: Betas = (0.9, 0.999)
    eps: Nonnegative = 1e-8
    weight_decay: Nonnegative = 0.0
    momentum_decay: Nonnegative = 4e-3
    decoupled_weight_decay: bool = False
