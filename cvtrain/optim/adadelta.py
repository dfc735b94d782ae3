"""Adadelta."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from cvtrain.gradients.stacked_number import column
from cvtrain.optim.hyperparameters import Fraction, Nonnegative
from cvtrain.optim.rule import Hyperparameters, Rule, Update
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import RealView, State, StateLayout
from cvtrain.optim.weight_decay import coupled, descend


class AdadeltaRule(Rule):
    """The step of `Adadelta`."""

    state_layout: ClassVar[StateLayout] = {
        "step": "number",
        "square_avg": "magnitude",
        "acc_delta": "magnitude",
    }

    def update(self, w: Tensor, g: Tensor, state: State, h: Hyperparameters) -> Update:
        """Return the next w, [K, ...] in its dtype, and the next t, v, u."""
        rho = h["rho"]
        view = RealView(w, self.semantics)
        g = view.of(coupled(g, w, h["weight_decay"]))
        v, u = view.of(state["square_avg"]), view.of(state["acc_delta"])
        eps = column(h["eps"], v)

        v = view.mean_square(v, g, rho)
        d = (u + eps).sqrt_().div_((v + eps).sqrt_()) * g
        u = view.mean_square(u, d, rho)
        d, after = view.back(d, {"square_avg": v, "acc_delta": u})
        return descend(w, h["lr"], d), {**after, "step": state["step"].cpu() + 1}


class Adadelta(RuleOptimizer):
    """Adadelta: steps d in units of earlier steps, from running means of g² and d².

    For Re and Im separately (`split`), with g ← g + λw::

        v ← ρv + (1 − ρ)g²        |g|² and |d|² under `modulus`, one v and one u for both
        d = √(u + eps) / √(v + eps) · g
        u ← ρu + (1 − ρ)d²
        w ← w − lr·d

    Under g → c·g the same weights come from lr/c, c²·eps and c·λ: d depends on c through eps, from
    which u starts.

    Zeiler 2012, ADADELTA: an adaptive learning rate method. `split` has the bits of
    torch.optim.Adadelta with foreach=False.

    Args:
        params: parameters, or parameter groups.
        lr: learning rate.
        rho: ρ, the weight of the old value in the running means.
        eps: added under both roots.
        weight_decay: coupled weight decay λ.
        semantics: `split` (Re and Im as two reals) or `modulus` (one complex number).
        stacked: every parameter has a leading axis K; numbers may be [K] tensors.

    Raises:
        ValueError: a hyperparameter is out of range or NaN.
    """

    rule_class = AdadeltaRule
    lr: Nonnegative = 1.0
    rho: Fraction = 0.9
    eps: Nonnegative = 1e-6
    weight_decay: Nonnegative = 0.0
