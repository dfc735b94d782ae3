"""Averaged stochastic gradient descent."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from cvtrain.gradients.stacked_number import column, float64, power
from cvtrain.optim.hyperparameters import Nonnegative
from cvtrain.optim.rule import Hyperparameters, Rule, Update
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import RealView, State, StateLayout
from cvtrain.optim.weight_decay import coupled, descend


class ASGDRule(Rule):
    """The step of `ASGD`, the same for both semantics, since it is linear in Re g and Im g.

    The initial η is lr, which `init` does not know.
    """

    state_layout: ClassVar[StateLayout] = {
        "step": "number",
        "eta": "number",
        "mu": "number",
        "ax": "tensor",
    }
    set_at_first_step = frozenset({"eta"})

    def init(self, w: Tensor) -> State:
        """t = 0 and μ = 1, float32 [K] on the CPU; a = 0."""
        state = super().init(w)
        return state | {"mu": torch.ones_like(state["mu"])}

    def update(self, w: Tensor, g: Tensor, state: State, h: Hyperparameters) -> Update:
        """The next w and a, [K, ...] in the parameter's dtype, and the next t, η, μ."""
        lr, lambd, alpha, t0 = (float64(h[name]) for name in ("lr", "lambd", "alpha", "t0"))
        view = RealView(w, self.semantics)
        w, g, a = map(view.of, (w, g, state["ax"]))
        t, mu = state["step"].cpu() + 1, state["mu"].cpu().float()
        eta = state["eta"].cpu().float() if "eta" in state else lr.float().expand_as(t)

        g = coupled(g, w, h["weight_decay"])
        w = descend(column(1 - lambd * eta.double(), w) * w, eta.double(), g)
        a = torch.where(column(mu, w) == 1, w, a + (w - a) * column(mu, w))
        after = {
            "step": t,
            "eta": (lr / power(1 + lambd * lr * t.double(), alpha)).float(),
            "mu": (1 / (t.double() - t0).clamp(min=1)).float(),
            "ax": a,
        }
        return view.back(w, after)


class ASGD(RuleOptimizer):
    """Gradient descent with a falling rate η that also averages its weights.

    At step t = 1, 2, …, with η = lr and μ = 1 initially and g ← g + λw::

        w ← (1 − lambd·η)w − η·g
        a ← a + μ(w − a)                 the average, in the state under `ax`; no step reads it
        η ← lr / (1 + lambd·lr·t)^alpha
        μ ← 1 / max(1, t − t0)

    Linear in g: under g → c·g the same weights come from lr/c, c·lambd and c·λ.

    Polyak and Juditsky 1992, Acceleration of stochastic approximation by averaging. Bits are those
    of torch.optim.ASGD with foreach=False, which keeps η and μ in float32.

    Args:
        params: parameters, or parameter groups.
        lr: learning rate.
        lambd: rate at which η falls and the weights decay.
        alpha: exponent with which η falls.
        t0: step after which weights are averaged.
        weight_decay: coupled weight decay λ.
        semantics: `split` or `modulus`; the same here, since the rule is linear in the gradient.
        stacked: every parameter has a leading axis K; numbers may be [K] tensors.

    Raises:
        ValueError: a hyperparameter is out of range or NaN.
    """

    rule_class = ASGDRule
    lr: Nonnegative = 1e-2
    lambd: Nonnegative = 1e-4
    alpha: Nonnegative = 0.75
    t0: Nonnegative = 1e6
    weight_decay: Nonnegative = 0.0
