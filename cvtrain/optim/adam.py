"""Adam, AMSGrad and AdamW."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from cvtrain.gradients.stacked_number import column, float64, power, require, require_betas
from cvtrain.optim.rule import Hyperparameters
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import RealView, Semantics, State, StateLayout
from cvtrain.optim.weight_decay import coupled, decoupled


@dataclass(frozen=True)
class AdamRule:
    """Adam: first and second moment estimates m and v, corrected for their start at zero.

    At step t = 1, 2, …, for Re and Im separately (`split`), with g ← g + λw, or with
    w ← (1 − lr·λ)w under `decoupled_weight_decay`::

        m ← β₁m + (1 − β₁)g
        v ← β₂v + (1 − β₂)g²      |g|² under `modulus`, one v for both
        v̂ = v / (1 − β₂ᵗ)         max over all steps so far of v, with `amsgrad`
        w ← w − lr/(1 − β₁ᵗ) · m / (√v̂ + eps)

    Under g → c·g the same weights come from c·eps and, if coupled, c·λ. The first step for
    g = 3+4i is lr·(−1−1i) as eps → 0, and lr·(−0.6−0.8i) under `modulus`.

    Kingma and Ba 2015, Adam: a method for stochastic optimization; Reddi et al. 2018, On the
    convergence of Adam and beyond; Loshchilov and Hutter 2019, Decoupled weight decay
    regularization. `split` has the bits of torch.optim.Adam with foreach=False.
    """

    semantics: Semantics = "split"
    state_layout: ClassVar[StateLayout] = {
        "step": "number",
        "exp_avg": "tensor",
        "exp_avg_sq": "magnitude",
        "max_exp_avg_sq": "magnitude",
    }

    def check(self, hyperparameters: Hyperparameters) -> None:
        """Raise ValueError for a hyperparameter out of range or NaN."""
        for name in ("lr", "eps", "weight_decay"):
            require(name, hyperparameters[name])
        require_betas(hyperparameters["betas"])

    def init(self, parameter: Tensor) -> State:
        """t [K] on the host; m and v as the parameter (v's real and imaginary parts: of Re, of Im),
        or v real under `modulus`.

        The maximum of v, where it is wanted, is born as the first v.
        """
        return {
            "step": torch.zeros(parameter.shape[0], dtype=torch.float32),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": RealView(parameter, self.semantics).no_magnitude(),
        }

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, hyperparameters: Hyperparameters
    ) -> tuple[Tensor, State]:
        """The next parameter, [K, ...] in its dtype, and the next t, m, v."""
        lr, eps, weight_decay = (hyperparameters[name] for name in ("lr", "eps", "weight_decay"))
        beta1, beta2 = map(float64, hyperparameters["betas"])
        w, g, t = parameter, gradient, state["step"].cpu() + 1
        if hyperparameters["decoupled_weight_decay"]:
            w = decoupled(w, lr, weight_decay)
        else:
            g = coupled(g, w, weight_decay)

        view = RealView(parameter, self.semantics)
        w, g, m, v = map(view.of, (w, g, state["exp_avg"], state["exp_avg_sq"]))
        m = torch.lerp(m, g, column(1 - beta1, m))
        v = view.mean_square(v, g, beta2)
        after = {"step": t, "exp_avg": m, "exp_avg_sq": v}
        if hyperparameters["amsgrad"]:
            largest = state.get("max_exp_avg_sq")
            v = v.clone() if largest is None else torch.maximum(view.of(largest), v)
            after["max_exp_avg_sq"] = v

        root_correction = power(1 - power(beta2, t), 0.5)
        denominator = v.sqrt().div_(column(root_correction, v)).add_(column(eps, v))
        step_size = float64(lr) / (1 - power(beta1, t))
        w = torch.addcdiv(w, column(-step_size, m) * m, denominator)

        return view.back(w, after)


class Adam(RuleOptimizer):
    """torch.optim.Adam for plain parameters or a stack; see `AdamRule`.

    Args:
        params: parameters or groups.
        lr: learning rate.
        betas: (β₁, β₂).
        eps: added to the root of the second moment.
        weight_decay: λ.
        amsgrad: divide by the largest second moment so far.
        decoupled_weight_decay: shrink the weights instead of adding λw to the gradient.
        semantics: `split`, Re and Im as two reals, or `modulus`.
        stacked: parameters carry a leading axis K, and numbers may be [K] tensors.

    Raises:
        ValueError: a value below 0, infinite or NaN, or a beta not below 1.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float | Tensor = 1e-8,
        weight_decay: float | Tensor = 0.0,
        amsgrad: bool = False,
        *,
        decoupled_weight_decay: bool = False,
        semantics: Semantics = "split",
        stacked: bool = False,
    ) -> None:
        hyperparameters = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, AdamRule(semantics), hyperparameters, stacked=stacked)


class AdamW(Adam):
    """torch.optim.AdamW: `Adam` with decoupled weight decay, 0.01 unless given."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float | Tensor = 1e-8,
        weight_decay: float | Tensor = 1e-2,
        amsgrad: bool = False,
        *,
        semantics: Semantics = "split",
        stacked: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            decoupled_weight_decay=True,
            semantics=semantics,
            stacked=stacked,
        )
