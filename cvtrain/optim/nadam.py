"""NAdam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from cvtrain.gradients.stacked_number import Number, column, float64, power, require, require_betas
from cvtrain.optim.rule import Hyperparameters
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import RealView, Semantics, State, StateLayout
from cvtrain.optim.weight_decay import coupled, decoupled


@dataclass(frozen=True)
class NAdamRule:
    """Adam with Nesterov's look ahead, its momentum μₜ rising over time.

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
    """

    semantics: Semantics = "split"
    state_layout: ClassVar[StateLayout] = {
        "step": "number",
        "mu_product": "number",
        "exp_avg": "tensor",
        "exp_avg_sq": "magnitude",
    }

    def check(self, hyperparameters: Hyperparameters) -> None:
        """Raise ValueError for a hyperparameter out of range or NaN."""
        for name in ("lr", "eps", "weight_decay", "momentum_decay"):
            require(name, hyperparameters[name])
        require_betas(hyperparameters["betas"])

    def init(self, parameter: Tensor) -> State:
        """t and Π [K] on the host; m and v as the parameter, or v real under `modulus`."""
        count = torch.zeros(parameter.shape[0], dtype=torch.float32)
        return {
            "step": count,
            "mu_product": torch.ones_like(count),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": RealView(parameter, self.semantics).no_magnitude(),
        }

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, hyperparameters: Hyperparameters
    ) -> tuple[Tensor, State]:
        """The next parameter, [K, ...] in its dtype, and the next t, Π, m, v."""
        lr, eps, weight_decay = (hyperparameters[name] for name in ("lr", "eps", "weight_decay"))
        beta1, beta2 = map(float64, hyperparameters["betas"])
        view = RealView(parameter, self.semantics)
        t = state["step"].cpu() + 1
        w, g, m, v = map(view.of, (parameter, gradient, state["exp_avg"], state["exp_avg_sq"]))
        if hyperparameters["decoupled_weight_decay"]:
            w = decoupled(w, lr, weight_decay)
        else:
            g = coupled(g, w, weight_decay)

        mu, mu_next = (
            beta1 * (1 - 0.5 * power(0.96, at * float64(hyperparameters["momentum_decay"])))
            for at in (t.double(), t.double() + 1)
        )
        mu_product = state["mu_product"].cpu().float() * mu.float()
        product, product_next = mu_product.double(), mu_product.double() * mu_next
        m = torch.lerp(m, g, column(1 - beta1, m))
        v = view.mean_square(v, g, beta2)
        r = v.div(column(1 - power(beta2, t), v)).sqrt_().add_(column(eps, v))
        w = _towards(w, -float64(lr) * (1 - mu) / (1 - product), g, r)
        w = _towards(w, -float64(lr) * mu_next / (1 - product_next), m, r)
        after = {"step": t, "mu_product": mu_product, "exp_avg": m, "exp_avg_sq": v}
        return view.back(w, after)


def _towards(w: Tensor, factor: Number, direction: Tensor, r: Tensor) -> Tensor:
    return torch.addcdiv(w, column(factor, direction) * direction, r)


class NAdam(RuleOptimizer):
    """torch.optim.NAdam for plain parameters or a stack; see `NAdamRule`.

    Args:
        params: parameters or groups.
        lr: learning rate.
        betas: (β₁, β₂).
        eps: added to the root of the second moment.
        weight_decay: λ.
        momentum_decay: how fast μₜ rises to β₁.
        decoupled_weight_decay: shrink the weights instead of adding λw to the gradient.
        semantics: `split`, Re and Im as two reals, or `modulus`.
        stacked: parameters carry a leading axis K, and numbers may be [K] tensors.

    Raises:
        ValueError: a value below 0, infinite or NaN, or a beta not below 1.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float | Tensor = 1e-8,
        weight_decay: float | Tensor = 0.0,
        momentum_decay: float | Tensor = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        semantics: Semantics = "split",
        stacked: bool = False,
    ) -> None:
        hyperparameters = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, NAdamRule(semantics), hyperparameters, stacked=stacked)
