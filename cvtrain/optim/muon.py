"""Muon for complex matrices."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from cvtrain.gradients.stacked_number import Number, column, float64
from cvtrain.optim.hyperparameters import Fraction, Nonnegative, Range
from cvtrain.optim.rule import Hyperparameters, Rule, Update
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import RealView, Semantics, State, StateLayout
from cvtrain.optim.weight_decay import decoupled, descend

ADJUSTMENTS = (None, "original", "match_rms_adamw", "spectral_unclamped")
"""Ways in which the learning rate may depend on the shape; None is the original."""


class MuonRule(Rule):
    """The step of `Muon`."""

    state_layout: ClassVar[StateLayout] = {"momentum_buffer": "tensor"}

    def check(self, h: Hyperparameters) -> None:
        """Raise ValueError if the adjustment of the learning rate is unknown."""
        if h["adjust_lr_fn"] not in ADJUSTMENTS:
            names = ", ".join(name for name in ADJUSTMENTS if name)
            raise ValueError(f"adjust_lr_fn={h['adjust_lr_fn']}: should be one of {names}")

    def check_shape(self, shape: torch.Size, h: Hyperparameters) -> None:
        """Raise ValueError for a parameter that is not a matrix, unless `flatten` is set."""
        if len(shape) != 2 and not h["flatten"]:
            raise ValueError(
                f"flatten=False: should be True, or Muon only supports 2D parameters, not"
                f" {list(shape)}"
            )

    def update(self, w: Tensor, g: Tensor, state: State, h: Hyperparameters) -> Update:
        """Return the next W and B, both [K, ...] in the parameter's dtype."""
        lr, mu = float64(h["lr"]), float64(h["momentum"])
        view = RealView(w, self.semantics)
        g, b = view.of(g), view.of(state["momentum_buffer"])
        b = torch.lerp(b, g, column(1 - mu, b))
        m = torch.lerp(g, b, column(mu, b)) if h["nesterov"] else b
        m, after = view.back(m, {"momentum_buffer": b})

        if w.numel() == 0:
            return w, after
        m = m.reshape(w.shape[0], w.shape[1] if w.dim() > 1 else 1, -1)
        if m.is_complex() and self.semantics == "split":
            u = torch.complex(polar_factor(m.real, h), polar_factor(m.imag, h))
        else:
            u = polar_factor(m, h)
        f = _shape_factor(h["adjust_lr_fn"], *m.shape[1:])
        return descend(decoupled(w, lr, h["weight_decay"]), lr * f, u.reshape(w.shape)), after


def polar_factor(m: Tensor, h: Hyperparameters) -> Tensor:
    """The polar factor PQᴴ of matrices M [K, a, b] = PΣQᴴ, real or complex, approximately; its
    singular values end near 1.

    X ← pX + (qXXᴴ + r(XXᴴ)²)X, `ns_steps` times from X = M/max(‖M‖, eps), where (p, q, r) are the
    `ns_coefficients`.
    """
    p, q, r = (column(number, m) for number in h["ns_coefficients"])
    tall = m.shape[-2] > m.shape[-1]
    x = m.mH if tall else m
    norm = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
    x = x / norm.clamp_(min=column(h["eps"], norm))
    steps: Number = h["ns_steps"]
    for step in range(int(float64(steps).max())):
        gram = x @ x.mH
        after = p * x + (q * gram + r * (gram @ gram)) @ x
        wanted = column(float64(steps) > step, norm).bool()
        x = torch.where(wanted, after, x)
    return x.mH if tall else x


def _shape_factor(adjustment: str | None, rows: int, columns: int) -> float:
    if adjustment == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    if adjustment == "spectral_unclamped":
        return math.sqrt(rows / columns)
    return math.sqrt(max(1.0, rows / columns))


class Muon(RuleOptimizer):
    """Muon: momentum whose matrix is made (nearly) unitary before it becomes a step.

    With G the gradient, a matrix of a rows and b columns::

        B ← μB + (1 − μ)G
        M = μB + (1 − μ)G         with `nesterov`, else M = B
        U ≈ PQᴴ, where M = PΣQᴴ   the unitary polar factor, by Newton and Schulz's iteration
        W ← (1 − lr·λ)W − lr·f·U

    f = √max(1, a/b) (`adjust_lr_fn` "original" or None), 0.2·√max(a, b) ("match_rms_adamw") or
    √(a/b) ("spectral_unclamped"; Bernstein 2025, Deriving Muon). The polar factor of a complex
    matrix is one matrix (`modulus`): it turns with W → UWV for unitary U and V. `split` takes the
    factors of Re M and Im M apart.

    Under g → c·g the same weights come from c·eps, which matters only where ‖M‖ is below it.

    Jordan et al. 2024, Muon: an optimizer for hidden layers in neural networks. It differs from
    torch.optim.Muon, which rejects complex matrices, in that it iterates in the parameter's own
    precision. Like torch's it takes only matrices, unless `flatten` is set.

    Args:
        params: parameters, or parameter groups.
        lr: learning rate.
        weight_decay: decoupled weight decay λ.
        momentum: momentum μ.
        nesterov: whether to look ahead along B.
        ns_coefficients: coefficients of the iteration; see `polar_factor`.
        eps: smallest norm by which M is divided.
        ns_steps: number of iterations.
        adjust_lr_fn: dependence of the learning rate on the shape.
        flatten: whether to treat every parameter as a matrix whose rows are the first axis and
            whose columns are all others; a vector has one column.
        semantics: `modulus` (one complex matrix) or `split` (Re and Im apart).
        stacked: every parameter has a leading axis K; numbers may be [K] tensors.

    Raises:
        ValueError: a hyperparameter is out of range or NaN, or a parameter is not a matrix.
    """

    rule_class = MuonRule
    lr: Nonnegative = 1e-3
    weight_decay: Nonnegative = 0.1
    momentum: Fraction = 0.95
    nesterov: bool = True
    ns_coefficients: tuple[Number, Number, Number] = (3.4445, -4.7750, 2.0315)
    eps: Nonnegative = 1e-7
    ns_steps: Annotated[int | Tensor, Range(below=100)] = 5  # torch's bound
    adjust_lr_fn: str | None = None
    _: KW_ONLY
    flatten: bool = False
    semantics: Semantics = "modulus"
