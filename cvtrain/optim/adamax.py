"""Adamax."""

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
from cvtrain.optim.weight_decay import coupled


@dataclass(frozen=True)
class AdamaxRule:
    """Adam with the largest decayed magnitude u in place of the root of the second moment.

    At step t = 1, 2, …, for Re and Im separately (`split`), with g ← g + λw::

        m ← β₁m + (1 − β₁)g
        u ← max(β₂u, |g| + eps)   |g| of the complex entry under `modulus`, one u for both
        w ← w − lr/(1 − β₁ᵗ) · m / u

    Under g → c·g the same weights come from c·eps and c·λ.

    Kingma and Ba 2015, Adam: a method for stochastic optimization, section 7.1. `split` has the
    bits of torch.optim.Adamax with foreach=False.
    """

    semantics: Semantics = "split"
    state_layout: ClassVar[StateLayout] = {
        "step": "number",
        "exp_avg": "tensor",
        "exp_inf": "magnitude",
    }

    def check(self, hyperparameters: Hyperparameters) -> None:
        """Raise ValueError for a hyperparameter out of range or NaN."""
        for name in ("lr", "eps", "weight_decay"):
            require(name, hyperparameters[name])
        require_betas(hyperparameters["betas"])

    def init(self, parameter: Tensor) -> State:
        """t [K] on the host; m and u as the parameter, or u real under `modulus`."""
        return {
            "step": torch.zeros(parameter.shape[0], dtype=torch.float32),
            "exp_avg": torch.zeros_like(parameter),
            "exp_inf": RealView(parameter, self.semantics).no_magnitude(),
        }

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, hyperparameters: Hyperparameters
    ) -> tuple[Tensor, State]:
        """The next parameter, [K, ...] in its dtype, and the next t, m, u."""
        beta1, beta2 = map(float64, hyperparameters["betas"])
        view = RealView(parameter, self.semantics)
        t = state["step"].cpu() + 1
        g = view.of(coupled(gradient, parameter, hyperparameters["weight_decay"]))
        w, m, u = map(view.of, (parameter, state["exp_avg"], state["exp_inf"]))

        m = torch.lerp(m, g, column(1 - beta1, m))
        u = torch.maximum(
            column(beta2, u) * u, view.magnitude(g) + column(hyperparameters["eps"], u)
        )
        step_size = float64(hyperparameters["lr"]) / (1 - power(beta1, t))
        w = torch.addcdiv(w, column(-step_size, m) * m, u)
        return view.back(w, {"step": t, "exp_avg": m, "exp_inf": u})


class Adamax(RuleOptimizer):
    """torch.optim.Adamax for plain parameters or a stack; see `AdamaxRule`.

    Args:
        params: parameters or groups.
        lr: learning rate.
        betas: (β₁, β₂).
        eps: added to the magnitude.
        weight_decay: λ, coupled.
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
        *,
        semantics: Semantics = "split",
        stacked: bool = False,
    ) -> None:
        hyperparameters = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
        }
        super().__init__(params, AdamaxRule(semantics), hyperparameters, stacked=stacked)
