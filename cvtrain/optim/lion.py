"""Lion and signSGD."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from cvtrain.gradients.stacked_number import column, float64
from cvtrain.optim.hyperparameters import Betas, Fraction, Nonnegative
from cvtrain.optim.rule import Hyperparameters, Rule, Update
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import RealView, State, StateLayout
from cvtrain.optim.weight_decay import decoupled


class LionRule(Rule):
    """The step of `Lion`."""

    state_layout: ClassVar[StateLayout] = {"exp_avg": "tensor"}

    def update(self, w: Tensor, g: Tensor, state: State, h: Hyperparameters) -> Update:
        """Return the next w and m, both [K, ...] in the parameter's dtype."""
        lr, (beta1, beta2) = h["lr"], map(float64, h["betas"])
        view = RealView(w, self.semantics)
        w = decoupled(view.of(w), lr, h["weight_decay"])
        g, m = view.of(g), view.of(state["exp_avg"])
        d = view.sign(torch.lerp(m, g, column(1 - beta1, m)))
        m = torch.lerp(m, g, column(1 - beta2, m))
        return view.back(torch.addcmul(w, column(-float64(lr), d), d), {"exp_avg": m})


class Lion(RuleOptimizer):
    """Lion: the sign of an interpolated momentum, with decoupled weight decay.

    For Re and Im separately (`split`)::

        d = sgn(β₁m + (1 − β₁)g)         z/|z| under `modulus`
        w ← (1 − lr·λ)w − lr·d
        m ← β₂m + (1 − β₂)g

    Under g → c·g nothing changes. The step of a complex entry has length lr·√2 under `split` and lr
    under `modulus`.

    Chen et al. 2023, Symbolic discovery of optimization algorithms, algorithm 2.

    Args:
        params: parameters, or parameter groups.
        lr: learning rate.
        betas: decay rates (β₁, β₂) of the moments.
        weight_decay: decoupled weight decay λ.
        semantics: `split` (Re and Im as two reals) or `modulus` (one complex number).
        stacked: every parameter has a leading axis K; numbers may be [K] tensors.

    Raises:
        ValueError: a hyperparameter is out of range or NaN.
    """

    rule_class = LionRule
    lr: Nonnegative = 1e-4
    betas: Betas = (0.9, 0.99)
    weight_decay: Nonnegative = 0.0


class SignSGDRule(LionRule):
    """The step of `SignSGD`: that of Lion with β₁ = β₂ = μ."""

    def update(self, w: Tensor, g: Tensor, state: State, h: Hyperparameters) -> Update:
        """Return the next w and m, both [K, ...] in the parameter's dtype."""
        mu = h["momentum"]
        return super().update(w, g, state, {**h, "betas": (mu, mu)})


class SignSGD(RuleOptimizer):
    """signSGD: the sign of the gradient; with momentum μ the sign of its running mean.

    For Re and Im separately (`split`)::

        m ← μm + (1 − μ)g
        w ← (1 − lr·λ)w − lr·sgn m       m/|m| under `modulus`

    Under g → c·g nothing changes.

    Bernstein et al. 2018, signSGD: compressed optimisation for non-convex problems; with momentum
    it is their Signum.

    Args:
        params: parameters, or parameter groups.
        lr: learning rate.
        momentum: momentum μ.
        weight_decay: decoupled weight decay λ.
        semantics: `split` (Re and Im as two reals) or `modulus` (one complex number).
        stacked: every parameter has a leading axis K; numbers may be [K] tensors.

    Raises:
        ValueError: a hyperparameter is out of range or NaN.
    """

    rule_class = SignSGDRule
    lr: Nonnegative = 1e-4
    momentum: Fraction = 0.0
    weight_decay: Nonnegative = 0.0
