"""Lion and signSGD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from cvtrain.gradients.stacked_number import column, float64, require, require_betas
from cvtrain.optim.rule import Hyperparameters
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import RealView, Semantics, State, StateLayout
from cvtrain.optim.weight_decay import decoupled


@dataclass(frozen=True)
class LionRule:
    """Lion: the sign of an interpolated momentum, with decoupled weight decay.

    For Re and Im separately (`split`)::

        d = sgn(β₁m + (1 − β₁)g)         z/|z| under `modulus`
        w ← (1 − lr·λ)w − lr·d
        m ← β₂m + (1 − β₂)g

    Under g → c·g nothing changes. A step is lr·√2 long for a complex entry under `split`, lr under
    `modulus`.

    Chen et al. 2023, Symbolic discovery of optimization algorithms, algorithm 2.
    """

    semantics: Semantics = "split"
    state_layout: ClassVar[StateLayout] = {"exp_avg": "tensor"}

    def check(self, hyperparameters: Hyperparameters) -> None:
        """Raise ValueError for a hyperparameter out of range or NaN."""
        for name in ("lr", "weight_decay"):
            require(name, hyperparameters[name])
        require_betas(hyperparameters["betas"])

    def init(self, parameter: Tensor) -> State:
        """m as the parameter."""
        return {"exp_avg": torch.zeros_like(parameter)}

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, hyperparameters: Hyperparameters
    ) -> tuple[Tensor, State]:
        """The next parameter and m, both [K, ...] in the parameter's dtype."""
        lr = hyperparameters["lr"]
        view = RealView(parameter, self.semantics)
        w = decoupled(view.of(parameter), lr, hyperparameters["weight_decay"])
        g, m = view.of(gradient), view.of(state["exp_avg"])
        ahead, kept = (
            torch.lerp(m, g, column(1 - float64(beta), m)) for beta in hyperparameters["betas"]
        )
        d = view.sign(ahead)
        return view.back(torch.addcmul(w, column(-float64(lr), d), d), {"exp_avg": kept})


class Lion(RuleOptimizer):
    """Lion for plain parameters or a stack; see `LionRule`.

    Args:
        params: parameters or groups.
        lr: learning rate.
        betas: (β₁, β₂).
        weight_decay: λ, decoupled.
        semantics: `split`, Re and Im as two reals, or `modulus`.
        stacked: parameters carry a leading axis K, and numbers may be [K] tensors.

    Raises:
        ValueError: a value below 0, infinite or NaN, or a beta not below 1.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-4,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.99),
        weight_decay: float | Tensor = 0.0,
        *,
        semantics: Semantics = "split",
        stacked: bool = False,
    ) -> None:
        hyperparameters = {
            "lr": lr,
            "betas": betas,
            "weight_decay": weight_decay,
        }
        super().__init__(params, LionRule(semantics), hyperparameters, stacked=stacked)


class SignSGDRule(LionRule):
    """The sign of the gradient, or with momentum μ that of its running mean: Lion with β₁ = β₂ = μ.

    Under g → c·g nothing changes.

    Bernstein et al. 2018, signSGD: compressed optimisation for non-convex problems; with momentum
    it is their Signum.
    """

    def check(self, hyperparameters: Hyperparameters) -> None:
        """Raise ValueError for a hyperparameter out of range or NaN."""
        for name in ("lr", "weight_decay"):
            require(name, hyperparameters[name])
        require("momentum", hyperparameters["momentum"], below=1.0)

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, hyperparameters: Hyperparameters
    ) -> tuple[Tensor, State]:
        """The next parameter and m, both [K, ...] in the parameter's dtype."""
        mu = hyperparameters["momentum"]
        return super().update(parameter, gradient, state, {**hyperparameters, "betas": (mu, mu)})


class SignSGD(RuleOptimizer):
    """signSGD for plain parameters or a stack; see `SignSGDRule`.

    Args:
        params: parameters or groups.
        lr: learning rate.
        momentum: μ.
        weight_decay: λ, decoupled.
        semantics: `split`, Re and Im as two reals, or `modulus`.
        stacked: parameters carry a leading axis K, and numbers may be [K] tensors.

    Raises:
        ValueError: a value below 0, infinite or NaN, or a momentum not below 1.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-4,
        momentum: float | Tensor = 0.0,
        weight_decay: float | Tensor = 0.0,
        *,
        semantics: Semantics = "split",
        stacked: bool = False,
    ) -> None:
        hyperparameters = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, SignSGDRule(semantics), hyperparameters, stacked=stacked)
