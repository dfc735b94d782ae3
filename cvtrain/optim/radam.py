"""RAdam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from cvtrain.gradients.stacked_number import column, float64, power, require, require_betas
from cvtrain.optim.rule import Hyperparameters
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import RealView, Semantics, State, StateLayout
from cvtrain.optim.weight_decay import coupled, decoupled

ADAPTED_ABOVE = 5.0
"""Length ρ of the moving average above which the second moment is trusted."""


@dataclass(frozen=True)
class RAdamRule:
    """Adam with a rectified start: plain momentum until the second moment can be trusted.

    At step t = 1, 2, …, for Re and Im separately (`split`), with g ← g + λw, or with
    w ← (1 − lr·λ)w under `decoupled_weight_decay`::

        m ← β₁m + (1 − β₁)g,  m̂ = m / (1 − β₁ᵗ)
        v ← β₂v + (1 − β₂)g²      |g|² under `modulus`, one v for both
        ρ∞ = 2/(1 − β₂) − 1,  ρ = ρ∞ − 2t·β₂ᵗ/(1 − β₂ᵗ)
        w ← w − lr·m̂                                         while ρ ≤ 5
        w ← w − lr·m̂·√(1 − β₂ᵗ)/(√v + eps)·q                 then, with
        q = √[(ρ − 4)(ρ − 2)ρ∞ / ((ρ∞ − 4)(ρ∞ − 2)ρ)]

    The first steps are linear in g and the later ones are not: under g → c·g they need lr/c and lr,
    beside c·eps and, if coupled, c·λ, so no constant map gives the same weights.

    Liu et al. 2020, On the variance of the adaptive learning rate and beyond. `split` has the bits
    of torch.optim.RAdam with foreach=False.
    """

    semantics: Semantics = "split"
    state_layout: ClassVar[StateLayout] = {
        "step": "number",
        "exp_avg": "tensor",
        "exp_avg_sq": "magnitude",
    }

    def check(self, hyperparameters: Hyperparameters) -> None:
        """Raise ValueError for a hyperparameter out of range or NaN."""
        for name in ("lr", "eps", "weight_decay"):
            require(name, hyperparameters[name])
        require_betas(hyperparameters["betas"])

    def init(self, parameter: Tensor) -> State:
        """t [K] on the host; m and v as the parameter, or v real under `modulus`."""
        return {
            "step": torch.zeros(parameter.shape[0], dtype=torch.float32),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": RealView(parameter, self.semantics).no_magnitude(),
        }

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, hyperparameters: Hyperparameters
    ) -> tuple[Tensor, State]:
        """The next parameter, [K, ...] in its dtype, and the next t, m, v."""
        lr, eps, weight_decay = (hyperparameters[name] for name in ("lr", "eps", "weight_decay"))
        beta1, beta2 = map(float64, hyperparameters["betas"])
        view = RealView(parameter, self.semantics)
        t = state["step"].cpu() + 1
        w, g, m, v = map(view.of, (parameter, gradient, state["exp_avg"], state["exp_avg_sq"]))
        if hyperparameters["decoupled_weight_decay"]:
            w = decoupled(w, lr, weight_decay)
        else:
            g = coupled(g, w, weight_decay)

        m = torch.lerp(m, g, column(1 - beta1, m))
        v = view.mean_square(v, g, beta2)
        d = m.div(column(1 - power(beta1, t), m)).mul_(column(lr, m))
        correction = 1 - power(beta2, t)
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * t.double() * power(beta2, t) / correction
        adapted = length > ADAPTED_ABOVE
        if bool(adapted.any()):
            q = power(
                (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length),
                0.5,
            )
            # Not a division by r: torch divides a number by a tensor in these two roundings.
            inverse = v.sqrt().add_(column(eps, v)).reciprocal_()
            rectified = d * (inverse * column(power(correction, 0.5), v)) * column(q, v)
            d = torch.where(column(adapted, v).bool(), rectified, d)
        return view.back(w - d, {"step": t, "exp_avg": m, "exp_avg_sq": v})


class RAdam(RuleOptimizer):
    """torch.optim.RAdam for plain parameters or a stack; see `RAdamRule`.

    Args:
        params: parameters or groups.
        lr: learning rate.
        betas: (β₁, β₂).
        eps: added to the root of the second moment.
        weight_decay: λ.
        decoupled_weight_decay: shrink the weights instead of adding λw to the gradient.
        semantics: `split`, Re and Im as two reals, or `modulus`.
        stacked: parameters carry a leading axis K, and numbers may be [K] tensors.

    Raises:
        ValueError: a value below 0, infinite or NaN, or a beta not below 1.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float | Tensor = 1e-8,
        weight_decay: float | Tensor = 0.0,
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
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, RAdamRule(semantics), hyperparameters, stacked=stacked)
