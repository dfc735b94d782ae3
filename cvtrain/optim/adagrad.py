"""Adagrad."""

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
from cvtrain.optim.weight_decay import coupled


@dataclass(frozen=True)
class AdagradRule:
    """Adagrad: the gradient over the root of the sum s of its squares.

    At step t = 1, 2, …, for Re and Im separately (`split`), with s = `initial_accumulator_value` at
    first and g ← g + λw::

        s ← s + g²                |g|² under `modulus`, one s for both
        w ← w − lr/(1 + (t − 1)·lr_decay) · g / (√s + eps)

    Under g → c·g the same weights come from c·eps, c²·initial_accumulator_value and c·λ. The first
    step for g = 3+4i is lr·(−1−1i) as eps → 0, and lr·(−0.6−0.8i) under `modulus`.

    Duchi, Hazan and Singer 2011, Adaptive subgradient methods for online learning and stochastic
    optimization, with a diagonal matrix. `split` has the bits of torch.optim.Adagrad with
    foreach=False.
    """

    semantics: Semantics = "split"
    state_layout: ClassVar[StateLayout] = {"step": "number", "sum": "magnitude"}

    def check(self, hyperparameters: Hyperparameters) -> None:
        """Raise ValueError for a hyperparameter out of range or NaN."""
        for name in ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"):
            require(name, hyperparameters[name])

    def init(self, parameter: Tensor) -> State:
        """t [K] on the host; s, which begins at a hyperparameter, is born at the first step."""
        return {"step": torch.zeros(parameter.shape[0], dtype=torch.float32)}

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, hyperparameters: Hyperparameters
    ) -> tuple[Tensor, State]:
        """The next parameter, [K, ...] in its dtype, and the next t and s."""
        view = RealView(parameter, self.semantics)
        g = view.of(coupled(gradient, parameter, hyperparameters["weight_decay"]))
        w, t = view.of(parameter), state["step"].cpu() + 1
        s = view.of(state.get("sum", view.no_magnitude()))
        if "sum" not in state:
            s = s + column(hyperparameters["initial_accumulator_value"], s)

        s = view.plus_square(s, g)
        decay = 1 + (t.double() - 1) * float64(hyperparameters["lr_decay"])
        step_size = float64(hyperparameters["lr"]) / decay
        r = s.sqrt().add_(column(hyperparameters["eps"], s))
        w = torch.addcdiv(w, column(-step_size, g) * g, r)
        after = {"step": t, "sum": s}
        return view.back(w, after)


class Adagrad(RuleOptimizer):
    """torch.optim.Adagrad for plain parameters or a stack; see `AdagradRule`.

    Args:
        params: parameters or groups.
        lr: learning rate.
        lr_decay: how fast the learning rate falls.
        weight_decay: λ, coupled.
        initial_accumulator_value: s before the first step, of Re and of Im each, or of |g|².
        eps: added to the root of s.
        semantics: `split`, Re and Im as two reals, or `modulus`.
        stacked: parameters carry a leading axis K, and numbers may be [K] tensors.

    Raises:
        ValueError: a value below 0, infinite or NaN.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lr_decay: float | Tensor = 0.0,
        weight_decay: float | Tensor = 0.0,
        initial_accumulator_value: float | Tensor = 0.0,
        eps: float | Tensor = 1e-10,
        *,
        semantics: Semantics = "split",
        stacked: bool = False,
    ) -> None:
        hyperparameters = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
        }
        super().__init__(params, AdagradRule(semantics), hyperparameters, stacked=stacked)
