"""Rprop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from cvtrain.gradients.stacked_number import column, float64, require
from cvtrain.optim.rule import Hyperparameters
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import RealView, Semantics, State, StateLayout


@dataclass(frozen=True)
class RpropRule:
    """Rprop: a step size s per entry, grown while the gradient keeps its side, cut when it turns.

    For Re and Im separately (`split`), with p the gradient of the step before, s = lr at first and
    bounds s₋ ≤ s ≤ s₊::

        s ← η₊s where g·p > 0, η₋s where g·p < 0     Re(g·p*) under `modulus`
        g ← 0 where g·p < 0
        w ← w − s·sgn g                              g/|g| under `modulus`

    Under g → c·g nothing changes.

    Riedmiller and Braun 1993, A direct adaptive method for faster backpropagation learning, in the
    variant without backtracking; `modulus`, which turns with the plane, is ours. `split` has the
    bits of torch.optim.Rprop with foreach=False.
    """

    semantics: Semantics = "split"
    state_layout: ClassVar[StateLayout] = {
        "step": "number",
        "prev": "tensor",
        "step_size": "magnitude",
    }

    def check(self, hyperparameters: Hyperparameters) -> None:
        """Raise ValueError for a hyperparameter out of range or NaN."""
        require("lr", hyperparameters["lr"])
        for part, bound in zip(("[0]", "[1]"), hyperparameters["step_sizes"], strict=True):
            require(f"step_sizes{part}", bound)
        fall, rise = map(float64, hyperparameters["etas"])
        if not bool(((fall > 0) & (fall < 1) & (rise > 1)).all()):
            raise ValueError(f"etas={hyperparameters['etas']}: should be 0 < etas[0] < 1 < etas[1]")

    def init(self, parameter: Tensor) -> State:
        """t [K] on the host; p as the parameter; s is born at the first step, as lr."""
        return {
            "step": torch.zeros(parameter.shape[0], dtype=torch.float32),
            "prev": torch.zeros_like(parameter),
        }

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, hyperparameters: Hyperparameters
    ) -> tuple[Tensor, State]:
        """The next parameter, [K, ...] in its dtype, and the next t, p, s (real: `modulus`)."""
        view = RealView(parameter, self.semantics)
        w, g, p = map(view.of, (parameter, gradient, state["prev"]))
        s = view.of(state.get("step_size", view.no_magnitude()))
        if "step_size" not in state:
            s = s + column(hyperparameters["lr"], s)

        side = view.product(g, p).sign()
        fall, rise = (column(eta, side) for eta in hyperparameters["etas"])
        factor = torch.where(
            side > 0, rise, torch.where(side < 0, fall, torch.where(side == 0, 1, side))
        )
        s = (s * factor).clamp(*(column(bound, s) for bound in hyperparameters["step_sizes"]))
        g = torch.where(side < 0, 0, g)
        w = torch.addcmul(w, view.sign(g), s, value=-1)
        return view.back(w, {"step": state["step"].cpu() + 1, "prev": g, "step_size": s})


class Rprop(RuleOptimizer):
    """torch.optim.Rprop for plain parameters or a stack; see `RpropRule`.

    Args:
        params: parameters or groups.
        lr: the step sizes at first.
        etas: (η₋, η₊).
        step_sizes: (s₋, s₊).
        semantics: `split`, Re and Im as two reals, or `modulus`.
        stacked: parameters carry a leading axis K, and numbers may be [K] tensors.

    Raises:
        ValueError: a value below 0, infinite or NaN, or etas that do not hold 0 < η₋ < 1 < η₊.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        etas: tuple[float | Tensor, float | Tensor] = (0.5, 1.2),
        step_sizes: tuple[float | Tensor, float | Tensor] = (1e-6, 50.0),
        *,
        semantics: Semantics = "split",
        stacked: bool = False,
    ) -> None:
        hyperparameters = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
        }
        super().__init__(params, RpropRule(semantics), hyperparameters, stacked=stacked)
