"""An update rule: one step of an optimizer as pure functions over a stack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

from torch import Tensor

from cvtrain.optim.semantics import Semantics, State, StateLayout

Hyperparameters: TypeAlias = Mapping[str, Any]


class Rule(Protocol):
    """One step of an optimizer, for K members at once.

    Tensors carry a leading axis K. A numeric hyperparameter is a Python number or a [K] float64
    tensor on the host (a pair of them for `betas`); a structural choice is a Python bool.
    """

    @property
    def semantics(self) -> Semantics:
        """How a complex entry is treated: `split`, as two reals, or `modulus`, as one number."""

    @property
    def state_layout(self) -> StateLayout:
        """What the state may hold; what `init` returns is always there."""

    def check(self, hyperparameters: Hyperparameters) -> None:
        """Raise ValueError for a hyperparameter out of range or NaN."""

    def init(self, parameter: Tensor) -> State:
        """The state before the first step; every tensor in it has the leading axis K."""

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, hyperparameters: Hyperparameters
    ) -> tuple[Tensor, State]:
        """The next parameter and the next state; changes none of its arguments."""
