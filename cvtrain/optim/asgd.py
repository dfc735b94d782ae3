"""Averaged stochastic gradient descent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from cvtrain.gradients.stacked_number import column, float64, power, require
from cvtrain.optim.rule import Hyperparameters
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import RealView, Semantics, State, StateLayout
from cvtrain.optim.weight_decay import coupled, descend


@dataclass(frozen=True)
class ASGDRule:
    """Gradient descent with a falling rate η that also averages its weights.

    At step t = 1, 2, …, with η = lr and μ = 1 at first and g ← g + λw::

        w ← (1 − lambd·η)w − η·g
        a ← a + μ(w − a)                 the average, which no one uses but who asks for it
        η ← lr / (1 + lambd·lr·t)^alpha
        μ ← 1 / max(1, t − t0)

    Linear in g: under g → c·g the same weights come from lr/c, c·lambd and c·λ.

    Polyak and Juditsky 1992, Acceleration of stochastic approximation by averaging. Bits are those
    of torch.optim.ASGD with foreach=False, which keeps η and μ in float32.
    """

    # Linear in Re g and Im g with real coefficients, it has one form for both semantics.
    semantics: Semantics = "split"
    state_layout: ClassVar[StateLayout] = {
        "step": "number",
        "eta": "number",
        "mu": "number",
        "ax": "tensor",
    }

    def check(self, hyperparameters: Hyperparameters) -> None:
        """Raise ValueError for a hyperparameter out of range or NaN."""
        for name in ("lr", "lambd", "alpha", "t0", "weight_decay"):
            require(name, hyperparameters[name])

    def init(self, parameter: Tensor) -> State:
        """t and μ [K] on the host, a as the parameter; η, which begins at lr, is born later."""
        count = torch.zeros(parameter.shape[0], dtype=torch.float32)
        return {"step": count, "mu": torch.ones_like(count), "ax": torch.zeros_like(parameter)}

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, hyperparameters: Hyperparameters
    ) -> tuple[Tensor, State]:
        """The next parameter and average, [K, ...] in its dtype, and the next t, η, μ."""
        names = ("lr", "lambd", "alpha", "t0")
        lr, lambd, alpha, t0 = (float64(hyperparameters[name]) for name in names)
        view = RealView(parameter, self.semantics)
        w, g, a = map(view.of, (parameter, gradient, state["ax"]))
        t, mu = state["step"].cpu() + 1, state["mu"].cpu().float()
        eta = state["eta"].cpu().float() if "eta" in state else lr.float().expand_as(t)

        g = coupled(g, w, hyperparameters["weight_decay"])
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
    """torch.optim.ASGD for plain parameters or a stack; see `ASGDRule`.

    Args:
        params: parameters or groups.
        lr: learning rate.
        lambd: how fast η falls and the weights decay.
        alpha: exponent of η's fall.
        t0: step after which weights are averaged.
        weight_decay: λ, coupled.
        semantics: `split` or `modulus`, which are the same for a rule that is linear.
        stacked: parameters carry a leading axis K, and numbers may be [K] tensors.

    Raises:
        ValueError: a value below 0, infinite or NaN.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lambd: float | Tensor = 1e-4,
        alpha: float | Tensor = 0.75,
        t0: float | Tensor = 1e6,
        weight_decay: float | Tensor = 0.0,
        *,
        semantics: Semantics = "split",
        stacked: bool = False,
    ) -> None:
        hyperparameters = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
        }
        super().__init__(params, ASGDRule(semantics), hyperparameters, stacked=stacked)
