"""One update of K runs, and its signals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cvtrain.config.sections import SignalsConfig
from cvtrain.gradients.stacked_number import Number, column
from cvtrain.training.run_status import total_of
from cvtrain.training.signals import measure

Tensors = dict[str, Tensor]


@dataclass
class Update:
    """The quantities of one update, which are filled in while the update is made.

    Attributes:
        losses: unscaled losses [K] at the weights before the update; the mean over accumulated
            batches.
        gradients: gradients of all parameters as computed by autograd, [K, …].
        transformed: gradients after convention and clipping, [K, …].
        coefficient: coefficient of the clipping, [K].
        rates: learning rates of the first parameter group, [K].
        weights, next_weights: weights before and after the update, [K, …].
        total: `cvtrain.training.run_status.total_of` the gradients and the next weights.
    """

    losses: Tensor
    gradients: Mapping[str, Tensor] = field(default_factory=dict)
    transformed: Mapping[str, Tensor] = field(default_factory=dict)
    coefficient: Tensor | None = None
    rates: Tensor | None = None
    weights: Tensors = field(default_factory=dict)
    next_weights: Tensors = field(default_factory=dict)
    total: Tensor | None = None

    def sum_of_all(self) -> Tensor:
        """`total`, computed here if it has not been computed before, [K]."""
        if self.total is None:
            return total_of([*self.gradients.values(), *self.next_weights.values()])
        return self.total

    def signals(
        self, scale: Number, solution: Mapping[str, Tensor] | None, config: SignalsConfig
    ) -> Tensors:
        """All signals [K] of the update, by tag; `scale` is that of the objectives."""
        assert self.rates is not None
        assert self.coefficient is not None
        signals = {
            "train/loss": self.losses,
            "train/objective": column(scale, self.losses) * self.losses,
            "train/lr": self.rates,
        }
        signals |= measure(
            self.weights,
            self.gradients,
            self.transformed,
            self.next_weights,
            solution=solution,
            elementwise=config.elementwise,
            per_parameter=config.per_parameter,
        )
        signals["optimizer_grad/clip_coefficient"] = self.coefficient
        return signals


def where_runs(runs: Tensor, update: Update, other: Update) -> Update:
    """A copy with the values of `update` for the runs `which`, bool [K], else those of `other`."""
    made: dict[tuple[int, int], Tensor] = {}

    def one(new: Tensor, old: Tensor) -> Tensor:
        # A gradient that no transformation changed is the same tensor object, and stays so.
        key = id(new), id(old)
        if key not in made:
            made[key] = torch.where(runs.reshape(-1, *(1 for _ in new.shape[1:])), new, old)
        return made[key]

    def every(new: Mapping[str, Tensor], old: Mapping[str, Tensor]) -> Tensors:
        return {name: one(tensor, old[name]) for name, tensor in new.items()}

    assert update.coefficient is not None
    assert other.coefficient is not None
    assert update.rates is not None
    assert other.rates is not None
    return Update(
        losses=one(update.losses, other.losses),
        gradients=every(update.gradients, other.gradients),
        transformed=every(update.transformed, other.transformed),
        coefficient=one(update.coefficient, other.coefficient),
        rates=one(update.rates, other.rates),
        weights=every(update.weights, other.weights),
        next_weights=every(update.next_weights, other.next_weights),
    )


def evaluates_often(optimizer: Any) -> bool:
    """Whether one step evaluates the closure several times, overwriting gradients (L-BFGS)."""
    inner = getattr(optimizer, "optimizer", optimizer)
    return isinstance(inner, torch.optim.LBFGS)
