"""Stochastic gradient descent with momentum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from cvtrain.gradients.stacked_number import column, float64, require, where_nonzero
from cvtrain.optim.rule import Hyperparameters
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import Semantics, State, StateLayout
from cvtrain.optim.weight_decay import coupled, descend


@dataclass(frozen=True)
class SGDRule:
    """Gradient descent with momentum μ, dampening τ and coupled weight decay λ.

    With g ← g + λw::

        b ← μb + (1 − τ)g     (b ← g at the first step)
        d = g + μb            with `nesterov`
        d = b                 otherwise; d = g for μ = 0
        w ← w − lr·d

    Linear in g: under g → c·g the same weights come from lr/c and c·λ.

    Sutskever et al. 2013, On the importance of initialization and momentum in deep learning; the
    learning rate stands outside of b, as in torch.optim.SGD, whose bits the rule reproduces.
    """

    # Linear in Re g and Im g with real coefficients, it has one form for both semantics.
    semantics: Semantics = "split"
    state_layout: ClassVar[StateLayout] = {"momentum_buffer": "tensor"}

    def check(self, hyperparameters: Hyperparameters) -> None:
        """Raise ValueError for a hyperparameter out of range or NaN."""
        for name in ("lr", "momentum", "weight_decay"):
            require(name, hyperparameters[name])
        require("dampening", hyperparameters["dampening"], low=-math.inf)
        if hyperparameters["nesterov"]:
            momentum, dampening = (
                float64(hyperparameters[name]) for name in ("momentum", "dampening")
            )
            if bool((momentum == 0).any()) or bool((dampening != 0).any()):
                raise ValueError("nesterov needs a momentum above 0 and no dampening")

    def init(self, parameter: Tensor) -> State:
        """Nothing: b is born as the first gradient."""
        return {}

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, hyperparameters: Hyperparameters
    ) -> tuple[Tensor, State]:
        """The next parameter and b, both [K, ...] in the parameter's dtype."""
        lr, mu, tau = (hyperparameters[name] for name in ("lr", "momentum", "dampening"))
        w, g = parameter, coupled(gradient, parameter, hyperparameters["weight_decay"])

        if not isinstance(mu, Tensor) and mu == 0:
            return descend(w, lr, g), state

        if "momentum_buffer" in state:
            b = column(mu, g) * state["momentum_buffer"]
            b = b.addcmul_(column(1 - float64(tau), g), g)
        else:
            b = g.clone()
        nesterov = hyperparameters["nesterov"]
        d = where_nonzero(
            mu, lambda: torch.addcmul(g, column(mu, g), b) if nesterov else b, plain=g
        )
        return descend(w, lr, d), {"momentum_buffer": b}


class SGD(RuleOptimizer):
    """torch.optim.SGD for plain parameters or a stack; see `SGDRule`.

    Args:
        params: parameters or groups.
        lr: learning rate.
        momentum: μ.
        dampening: τ.
        weight_decay: λ, coupled.
        nesterov: look ahead along b.
        semantics: `split` or `modulus`, which are the same for a rule that is linear.
        stacked: parameters carry a leading axis K, and numbers may be [K] tensors.

    Raises:
        ValueError: a value below 0, infinite or NaN; nesterov without momentum or with dampening.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float | Tensor = 0.0,
        dampening: float | Tensor = 0.0,
        weight_decay: float | Tensor = 0.0,
        nesterov: bool = False,
        *,
        semantics: Semantics = "split",
        stacked: bool = False,
    ) -> None:
        hyperparameters = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
        }
        super().__init__(params, SGDRule(semantics), hyperparameters, stacked=stacked)
