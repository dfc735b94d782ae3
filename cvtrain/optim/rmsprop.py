"""RMSprop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from cvtrain.gradients.stacked_number import column, float64, require, where_nonzero
from cvtrain.optim.rule import Hyperparameters
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import RealView, Semantics, State, StateLayout
from cvtrain.optim.weight_decay import coupled


@dataclass(frozen=True)
class RMSpropRule:
    """RMSprop: the gradient over the root of its mean square, with momentum μ.

    For Re and Im separately (`split`), with g ← g + λw::

        v ← αv + (1 − α)g²               |g|² under `modulus`, one v and one r for both
        m ← m + (1 − α)(g − m)           with `centered`, else m = 0
        r = √(v − m²) + eps              |m|² likewise
        b ← μb + g/r                     b = g/r for μ = 0
        w ← w − lr·b

    Under g → c·g the same weights come from c·eps and c·λ. The first step for g = 3+4i is
    lr/√(1 − α)·(−1−1i) as eps → 0, and lr/√(1 − α)·(−0.6−0.8i) under `modulus`.

    Tieleman and Hinton 2012, Neural networks for machine learning, lecture 6.5; centred: Graves
    2013, arXiv:1308.0850, equations 38–45 with eps inside the root. `split` has the
    bits of torch.optim.RMSprop with foreach=False.
    """

    semantics: Semantics = "split"
    state_layout: ClassVar[StateLayout] = {
        "step": "number",
        "square_avg": "magnitude",
        "grad_avg": "tensor",
        "momentum_buffer": "tensor",
    }

    def check(self, hyperparameters: Hyperparameters) -> None:
        """Raise ValueError for a hyperparameter out of range or NaN."""
        for name in ("lr", "alpha", "eps", "weight_decay", "momentum"):
            require(name, hyperparameters[name])

    def init(self, parameter: Tensor) -> State:
        """t [K] on the host; v as the parameter (its real and imaginary parts: of Re, of Im), real
        under `modulus`.

        b and m, where they are wanted, are born at the first step.
        """
        return {
            "step": torch.zeros(parameter.shape[0], dtype=torch.float32),
            "square_avg": RealView(parameter, self.semantics).no_magnitude(),
        }

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, hyperparameters: Hyperparameters
    ) -> tuple[Tensor, State]:
        """The next parameter, [K, ...] in its dtype, and the next t, v, b and m."""
        lr, alpha, eps, mu = (hyperparameters[name] for name in ("lr", "alpha", "eps", "momentum"))
        view = RealView(parameter, self.semantics)
        g = view.of(coupled(gradient, parameter, hyperparameters["weight_decay"]))
        w, v = view.of(parameter), view.of(state["square_avg"])
        zero = torch.zeros_like(parameter)

        v = view.mean_square(v, g, alpha)
        after = {"step": state["step"].cpu() + 1, "square_avg": v}
        centred = v
        if hyperparameters["centered"]:
            m = torch.lerp(view.of(state.get("grad_avg", zero)), g, column(1 - float64(alpha), g))
            after["grad_avg"] = m
            centred = view.minus_square(v, m)
        r = centred.sqrt().add_(column(eps, v))
        plain = torch.addcdiv(w, column(-lr, g) * g, r)
        if isinstance(mu, Tensor) or mu != 0:
            b = view.of(state.get("momentum_buffer", zero))
            b = (column(mu, b) * b).addcdiv_(g, r)
            after["momentum_buffer"] = b
            plain = where_nonzero(mu, lambda: torch.addcmul(w, column(-lr, w), b), plain=plain)
        return view.back(plain, after)


class RMSprop(RuleOptimizer):
    """torch.optim.RMSprop for plain parameters or a stack; see `RMSpropRule`.

    Args:
        params: parameters or groups.
        lr: learning rate.
        alpha: share of the mean square that stays.
        eps: added to its root.
        weight_decay: λ, coupled.
        momentum: μ.
        centered: subtract the squared mean, which makes the mean square a variance.
        semantics: `split`, Re and Im as two reals, or `modulus`.
        stacked: parameters carry a leading axis K, and numbers may be [K] tensors.

    Raises:
        ValueError: a value below 0, infinite or NaN.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        alpha: float | Tensor = 0.99,
        eps: float | Tensor = 1e-8,
        weight_decay: float | Tensor = 0.0,
        momentum: float | Tensor = 0.0,
        centered: bool = False,
        *,
        semantics: Semantics = "split",
        stacked: bool = False,
    ) -> None:
        hyperparameters = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
        }
        super().__init__(params, RMSpropRule(semantics), hyperparameters, stacked=stacked)
