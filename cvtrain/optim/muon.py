"""Muon for complex matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from cvtrain.gradients.stacked_number import Number, column, float64, require
from cvtrain.optim.rule import Hyperparameters
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import RealView, Semantics, State, StateLayout
from cvtrain.optim.weight_decay import decoupled, descend


@dataclass(frozen=True)
class MuonRule:
    """Muon: momentum, its matrix made (nearly) unitary before it is a step.

    With G the gradient as a matrix of a rows (the first axis) and b columns (all others; a vector
    has one)::

        B ← μB + (1 − μ)G
        M = μB + (1 − μ)G         with `nesterov`, else M = B
        U ≈ PQᴴ, where M = PΣQᴴ   the unitary polar factor, by Newton and Schulz's iteration
        W ← (1 − lr·λ)W − lr·f·U

    f = √max(1, a/b) (`adjust_lr_fn` "original" or None) or 0.2·√max(a, b) ("match_rms_adamw"). The
    polar factor of a complex matrix is one matrix (`modulus`): it turns with W → UWV for unitary U
    and V. `split` takes the factors of Re M and Im M apart.

    Under g → c·g the same weights come from c·eps, which matters only where ‖M‖ is below it.

    Jordan et al. 2024, Muon: an optimizer for hidden layers in neural networks. Differs from
    torch.optim.Muon, which refuses complex matrices, by iterating in the parameter's own precision.
    """

    semantics: Semantics = "modulus"
    state_layout: ClassVar[StateLayout] = {"momentum_buffer": "tensor"}

    def check(self, hyperparameters: Hyperparameters) -> None:
        """Raise ValueError for a hyperparameter out of range or NaN."""
        for name in ("lr", "weight_decay", "eps"):
            require(name, hyperparameters[name])
        require("ns_steps", hyperparameters["ns_steps"], below=100)  # as torch's has it
        require("momentum", hyperparameters["momentum"], below=1.0)
        if len(hyperparameters["ns_coefficients"]) != 3:
            raise ValueError("ns_coefficients are three numbers")
        chosen = hyperparameters["adjust_lr_fn"]
        if chosen not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"adjust_lr_fn={chosen}: should be original or match_rms_adamw")

    def init(self, parameter: Tensor) -> State:
        """B as the parameter."""
        return {"momentum_buffer": torch.zeros_like(parameter)}

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, hyperparameters: Hyperparameters
    ) -> tuple[Tensor, State]:
        """The next parameter and B, both [K, ...] in the parameter's dtype."""
        lr, mu = float64(hyperparameters["lr"]), float64(hyperparameters["momentum"])
        view = RealView(parameter, self.semantics)
        g, b = view.of(gradient), view.of(state["momentum_buffer"])
        b = torch.lerp(b, g, column(1 - mu, b))
        m = torch.lerp(g, b, column(mu, b)) if hyperparameters["nesterov"] else b
        m, after = view.back(m, {"momentum_buffer": b})

        shape = parameter.shape
        matrices = m.reshape(shape[0], shape[1] if len(shape) > 1 else 1, -1)
        if m.is_complex() and self.semantics == "split":
            u = torch.complex(
                polar_factor(matrices.real, hyperparameters),
                polar_factor(matrices.imag, hyperparameters),
            )
        else:
            u = polar_factor(matrices, hyperparameters)
        rate = lr * _adjustment(hyperparameters["adjust_lr_fn"], *matrices.shape[1:])
        w = decoupled(parameter, lr, hyperparameters["weight_decay"])
        return descend(w, rate, u.reshape(shape)), after


def polar_factor(matrices: Tensor, hyperparameters: Hyperparameters) -> Tensor:
    """Nearly PQᴴ of matrices [K, a, b] = PΣQᴴ, real or complex; singular values end near 1.

    X ← pX + (qXXᴴ + r(XXᴴ)²)X, `ns_steps` times from X = M/max(‖M‖, eps), with (p, q, r) the
    `ns_coefficients`.
    """
    p, q, r = (column(number, matrices) for number in hyperparameters["ns_coefficients"])
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mH if tall else matrices
    norm = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
    x = x / norm.clamp_(min=column(hyperparameters["eps"], norm))
    steps: Number = hyperparameters["ns_steps"]
    for step in range(int(float64(steps).max())):
        gram = x @ x.mH
        after = p * x + (q * gram + r * (gram @ gram)) @ x
        wanted = column(float64(steps) > step, norm).bool()
        x = torch.where(wanted, after, x)
    return x.mH if tall else x


def _adjustment(chosen: str | None, rows: int, columns: int) -> float:
    if chosen == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1.0, rows / columns))


class Muon(RuleOptimizer):
    """Muon for plain parameters or a stack, complex ones too; see `MuonRule`.

    Args:
        params: parameters or groups.
        lr: learning rate.
        weight_decay: λ, decoupled.
        momentum: μ.
        nesterov: look ahead along B.
        ns_coefficients: of the iteration.
        eps: smallest norm that M is divided by.
        ns_steps: number of iterations.
        adjust_lr_fn: how the learning rate depends on the shape.
        semantics: `modulus`, one complex matrix, or `split`, Re and Im apart.
        stacked: parameters carry a leading axis K, and numbers may be [K] tensors.

    Raises:
        ValueError: a value below 0, infinite or NaN, a momentum not below 1, an unknown adjustment.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        weight_decay: float | Tensor = 0.1,
        momentum: float | Tensor = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float | Tensor, float | Tensor, float | Tensor] = (
            3.4445,
            -4.7750,
            2.0315,
        ),
        eps: float | Tensor = 1e-7,
        ns_steps: int | Tensor = 5,
        adjust_lr_fn: str | None = None,
        *,
        semantics: Semantics = "modulus",
        stacked: bool = False,
    ) -> None:
        hyperparameters = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, MuonRule(semantics), hyperparameters, stacked=stacked)
