"""Adagrad."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from cvtrain.optim.hyperparameter import column, float64, require
from cvtrain.optim.real_view import as_complex, as_real
from cvtrain.optim.rule import Hyperparameters, RuleOptimizer, Semantics, State
from cvtrain.optim.weight_decay import coupled


class AdagradRule:
    """Adagrad: the gradient over the root of the sum s of its squares.

    At step t = 1, 2, …, for Re and Im separately, with s = `initial_accumulator_value` at first and
    g ← g + λw::

        s ← s + g²
        w ← w − lr/(1 + (t − 1)·lr_decay) · g / (√s + eps)

    Under g → c·g the same weights come from c·eps, c²·initial_accumulator_value and c·λ. The first
    step for g = 3+4i is lr·(−1−1i) as eps → 0.

    Duchi, Hazan and Singer 2011, Adaptive subgradient methods for online learning and stochastic
    optimization, with a diagonal matrix. Bits are those of torch.optim.Adagrad with foreach=False.
    """

    semantics: Final[Semantics] = "split"

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
        g = as_real(coupled(gradient, parameter, hyperparameters["weight_decay"]))
        w, t = as_real(parameter), state["step"].cpu() + 1
        if "sum" in state:
            s = as_real(state["sum"])
        else:
            s = column(hyperparameters["initial_accumulator_value"], w).expand_as(w)

        s = torch.addcmul(s, g, g)
        decay = 1 + (t.double() - 1) * float64(hyperparameters["lr_decay"])
        step_size = float64(hyperparameters["lr"]) / decay
        r = s.sqrt().add_(column(hyperparameters["eps"], s))
        w = torch.addcdiv(w, column(-step_size, g) * g, r)
        after = {"step": t, "sum": s}
        return as_complex(w, after) if parameter.is_complex() else (w, after)


class Adagrad(RuleOptimizer):
    """torch.optim.Adagrad for plain parameters or a stack; see `AdagradRule`.

    Args:
        params: parameters or groups.
        lr: learning rate.
        lr_decay: how fast the learning rate falls.
        weight_decay: λ, coupled.
        initial_accumulator_value: s before the first step, of Re and of Im.
        eps: added to the root of s.
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
        stacked: bool = False,
    ) -> None:
        hyperparameters = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
        }
        super().__init__(params, AdagradRule(), hyperparameters, stacked=stacked)
