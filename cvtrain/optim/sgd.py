"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from cvtrain.gradients.stacked_number import column, float64, where_nonzero
from cvtrain.optim.hyperparameters import Finite, Nonnegative
from cvtrain.optim.rule import Hyperparameters, Rule, Update
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import State, StateLayout
from cvtrain.optim.weight_decay import coupled, descend


class SGDRule(Rule):
    """The step of `SGD`, the same for both semantics, since it is linear in Re g and Im g."""

    state_layout: ClassVar[StateLayout] = {"momentum_buffer": "tensor"}
    set_at_first_step = frozenset({"momentum_buffer"})
    takes_sparse_gradients = True

    def check(self, h: Hyperparameters) -> None:
        """Raise ValueError if Nesterov is requested without momentum, or with dampening."""
        if h["nesterov"]:
            mu, tau = float64(h["momentum"]), float64(h["dampening"])
            if bool((mu == 0).any()) or bool((tau != 0).any()):
                raise ValueError("nesterov=True: should have momentum > 0 and dampening = 0")

    def update(self, w: Tensor, g: Tensor, state: State, h: Hyperparameters) -> Update:
        """Return the next w and b, both [K, ...] in the parameter's dtype."""
        lr, mu, tau = h["lr"], h["momentum"], h["dampening"]
        g = coupled(g, w, h["weight_decay"])
        if not isinstance(mu, Tensor) and mu == 0:
            return descend(w, lr, g), state

        if "momentum_buffer" in state:
            b = column(mu, g) * state["momentum_buffer"]
            b = b.addcmul_(column(1 - float64(tau), g), g)
        else:
            b = g.clone()
        nesterov = h["nesterov"]
        d = where_nonzero(
            mu, lambda: torch.addcmul(g, column(mu, g), b) if nesterov else b, plain=g
        )
        return descend(w, lr, d), {"momentum_buffer": b}


class SGD(RuleOptimizer):
    """Gradient descent with momentum μ, dampening τ and coupled weight decay λ.

    With g ← g + λw::

        b ← μb + (1 − τ)g     (b ← g at the first step)
        d = g + μb            with `nesterov`
        d = b                 otherwise; d = g for μ = 0
        w ← w − lr·d

    Linear in g: under g → c·g the same weights come from lr/c and c·λ.

    Sutskever et al. 2013, On the importance of initialization and momentum in deep learning; the
    learning rate is outside b, as in torch.optim.SGD, to which the step is bit-identical.

    Args:
        params: parameters, or parameter groups.
        lr: learning rate.
        momentum: momentum μ.
        dampening: dampening τ of the momentum.
        weight_decay: weight decay λ.
        nesterov: whether to look ahead along b; needs μ > 0 and τ = 0.
        semantics: `split` or `modulus`; the same here, since the rule is linear in the gradient.
        stacked: every parameter has a leading axis K; numbers may be [K] tensors.

    Raises:
        ValueError: a hyperparameter is out of range or NaN.
    """

    rule_class = SGDRule
    lr: Nonnegative = 1e-3
    momentum: Nonnegative = 0.0
    dampening: Finite = 0.0
    weight_decay: Nonnegative = 0.0
    nesterov: bool = False
