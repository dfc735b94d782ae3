"""Adagrad."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from cvtrain.gradients.stacked_number import column, float64
from cvtrain.optim.hyperparameters import Nonnegative
from cvtrain.optim.rule import Hyperparameters, Rule, Update
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import RealView, State, StateLayout
from cvtrain.optim.weight_decay import coupled


class AdagradRule(Rule):
    """The step of `Adagrad`; the initial s is a hyperparameter, which `init` does not know."""

    state_layout: ClassVar[StateLayout] = {"step": "number", "sum": "magnitude"}
    set_at_first_step = frozenset({"sum"})
    takes_sparse_gradients = True

    def update(self, w: Tensor, g: Tensor, state: State, h: Hyperparameters) -> Update:
        """Return the next w, [K, ...] in its dtype, and the next t and s."""
        view = RealView(w, self.semantics)
        g = view.of(coupled(g, w, h["weight_decay"]))
        w, t = view.of(w), state["step"].cpu() + 1
        s = view.of(state.get("sum", view.no_magnitude()))
        if "sum" not in state:
            s = s + column(h["initial_accumulator_value"], s)

        s = view.plus_square(s, g)
        step_size = float64(h["lr"]) / (1 + (t.double() - 1) * float64(h["lr_decay"]))
        r = s.sqrt().add_(column(h["eps"], s))
        w = torch.addcdiv(w, column(-step_size, g) * g, r)
        return view.back(w, {"step": t, "sum": s})


class Adagrad(RuleOptimizer):
    """Adagrad: the gradient over the root of the sum s of its squares.

    At step t = 1, 2, …, for Re and Im separately (`split`), with s = `initial_accumulator_value`
    initially and g ← g + λw::

        s ← s + g²                |g|² under `modulus`, one s for both
        w ← w − lr/(1 + (t − 1)·lr_decay) · g / (√s + eps)

    Under g → c·g the same weights come from c·eps, c²·initial_accumulator_value and c·λ. The first
    step for g = 3+4i is lr·(−1−1i) as eps → 0, and lr·(−0.6−0.8i) under `modulus`.

    Duchi, Hazan and Singer 2011, Adaptive subgradient methods for online learning and stochastic
    optimization, with a diagonal matrix. `split` has the bits of torch.optim.Adagrad with
    foreach=False.

    Args:
        params: parameters, or parameter groups.
        lr: learning rate.
        lr_decay: rate at which the learning rate falls.
        weight_decay: coupled weight decay λ.
        initial_accumulator_value: s before the first step, of Re and of Im each, or of |g|².
        eps: added to the root of s.
        semantics: `split` (Re and Im as two reals) or `modulus` (one complex number).
        stacked: every parameter has a leading axis K; numbers may be [K] tensors.

    Raises:
        ValueError: a hyperparameter is out of range or NaN.
    """

    rule_class = AdagradRule
    lr: Nonnegative = 1e-2
    lr_decay: Nonnegative = 0.0
    weight_decay: Nonnegative = 0.0
    initial_accumulator_value: Nonnegative = 0.0
    eps: Nonnegative = 1e-10
