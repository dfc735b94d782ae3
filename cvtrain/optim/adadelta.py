"""Adadelta."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from cvtrain.gradients.stacked_number import column, require
from cvtrain.optim.rule import Hyperparameters
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import RealView, Semantics, State, StateLayout
from cvtrain.optim.weight_decay import coupled, descend


@dataclass(frozen=True)
class AdadeltaRule:
    """Adadelta: steps d in units of earlier steps, from running means of g² and d².

    For Re and Im separately (`split`), with g ← g + λw::

        v ← ρv + (1 − ρ)g²        |g|² and |d|² under `modulus`, one v and one u for both
        d = √(u + eps) / √(v + eps) · g
        u ← ρu + (1 − ρ)d²
        w ← w − lr·d

    Under g → c·g the same weights come from lr/c, c²·eps and c·λ: d grows with c by way of eps,
    from which u begins.

    Zeiler 2012, ADADELTA: an adaptive learning rate method. `split` has the bits of
    torch.optim.Adadelta with foreach=False.
    """

    semantics: Semantics = "split"
    state_layout: ClassVar[StateLayout] = {
        "step": "number",
        "square_avg": "magnitude",
        "acc_delta": "magnitude",
    }

    def check(self, hyperparameters: Hyperparameters) -> None:
        """Raise ValueError for a hyperparameter out of range or NaN."""
        for name in ("lr", "eps", "weight_decay"):
            require(name, hyperparameters[name])
        require("rho", hyperparameters["rho"], below=1.0)

    def init(self, parameter: Tensor) -> State:
        """t [K] on the host; v and u as the parameter, or real under `modulus`."""
        nothing = RealView(parameter, self.semantics).no_magnitude()
        return {
            "step": torch.zeros(parameter.shape[0], dtype=torch.float32),
            "square_avg": nothing,
            "acc_delta": nothing,
        }

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, hyperparameters: Hyperparameters
    ) -> tuple[Tensor, State]:
        """The next parameter, [K, ...] in its dtype, and the next t, v, u."""
        rho = hyperparameters["rho"]
        view = RealView(parameter, self.semantics)
        g = view.of(coupled(gradient, parameter, hyperparameters["weight_decay"]))
        v, u = view.of(state["square_avg"]), view.of(state["acc_delta"])
        eps = column(hyperparameters["eps"], v)

        v = view.mean_square(v, g, rho)
        d = (u + eps).sqrt_().div_((v + eps).sqrt_()) * g
        u = view.mean_square(u, d, rho)
        d, after = view.back(d, {"square_avg": v, "acc_delta": u})
        after["step"] = state["step"].cpu() + 1
        return descend(parameter, hyperparameters["lr"], d), after


class Adadelta(RuleOptimizer):
    """torch.optim.Adadelta for plain parameters or a stack; see `AdadeltaRule`.

    Args:
        params: parameters or groups.
        lr: learning rate.
        rho: share of the running means that stays.
        eps: added under both roots.
        weight_decay: λ, coupled.
        semantics: `split`, Re and Im as two reals, or `modulus`.
        stacked: parameters carry a leading axis K, and numbers may be [K] tensors.

    Raises:
        ValueError: a value below 0, infinite or NaN, or a rho not below 1.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        rho: float | Tensor = 0.9,
        eps: float | Tensor = 1e-6,
        weight_decay: float | Tensor = 0.0,
        *,
        semantics: Semantics = "split",
        stacked: bool = False,
    ) -> None:
        hyperparameters = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
        }
        super().__init__(params, AdadeltaRule(semantics), hyperparameters, stacked=stacked)
