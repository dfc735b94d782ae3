"""Rprop."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from cvtrain.gradients.stacked_number import Number, column, float64
from cvtrain.optim.hyperparameters import Nonnegative
from cvtrain.optim.rule import Hyperparameters, Rule, Update
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import RealView, State, StateLayout


class RpropRule(Rule):
    """The step of `Rprop`; the initial s is lr, which `init` does not know."""

    state_layout: ClassVar[StateLayout] = {
        "step": "number",
        "prev": "tensor",
        "step_size": "magnitude",
    }
    set_at_first_step = frozenset({"step_size"})

    def check(self, h: Hyperparameters) -> None:
        """Raise ValueError unless 0 < η₋ < 1 < η₊."""
        fall, rise = map(float64, h["etas"])
        if not bool(((fall > 0) & (fall < 1) & (rise > 1)).all()):
            raise ValueError(f"etas={h['etas']}: should be 0 < etas[0] < 1 < etas[1]")

    def update(self, w: Tensor, g: Tensor, state: State, h: Hyperparameters) -> Update:
        """Return the next w, [K, ...] in its dtype, and the next t, p, s (real under `modulus`)."""
        view = RealView(w, self.semantics)
        w, g, p = map(view.of, (w, g, state["prev"]))
        s = view.of(state.get("step_size", view.no_magnitude()))
        if "step_size" not in state:
            s = s + column(h["lr"], s)

        side = view.product(g, p).sign()
        fall, rise = (column(eta, side) for eta in h["etas"])
        eta = torch.where(
            side > 0, rise, torch.where(side < 0, fall, torch.where(side == 0, 1, side))
        )
        s = (s * eta).clamp(*(column(bound, s) for bound in h["step_sizes"]))
        g = torch.where(side < 0, 0, g)
        w = torch.addcmul(w, view.sign(g), s, value=-1)
        return view.back(w, {"step": state["step"].cpu() + 1, "prev": g, "step_size": s})


class Rprop(RuleOptimizer):
    """Rprop: a step size s per entry that grows while the gradient keeps its sign and shrinks when
    it turns.

    For Re and Im separately (`split`), with p the gradient of the previous step, s = lr initially
    and bounds s₋ ≤ s ≤ s₊::

        s ← η₊s where g·p > 0, η₋s where g·p < 0     Re(g·p*) under `modulus`
        g ← 0 where g·p < 0
        w ← w − s·sgn g                              g/|g| under `modulus`

    Under g → c·g nothing changes.

    Riedmiller and Braun 1993, A direct adaptive method for faster backpropagation learning, in the
    variant without backtracking; `modulus`, which commutes with rotations of the plane, is our
    extension. `split` has the bits of torch.optim.Rprop with foreach=False.

    Args:
        params: parameters, or parameter groups.
        lr: initial step sizes.
        etas: (η₋, η₊), with 0 < η₋ < 1 < η₊.
        step_sizes: (s₋, s₊).
        semantics: `split` (Re and Im as two reals) or `modulus` (one complex number).
        stacked: every parameter has a leading axis K; numbers may be [K] tensors.

    Raises:
        ValueError: a hyperparameter is out of range or NaN.
    """

    rule_class = RpropRule
    lr: Nonnegative = 1e-2
    etas: tuple[Number, Number] = (0.5, 1.2)
    step_sizes: tuple[Nonnegative, Nonnegative] = (1e-6, 50.0)
