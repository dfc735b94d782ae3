"""An update rule: one step of an optimizer as pure functions on a stack."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor

from cvtrain.optim.semantics import RealView, Semantics, State, StateLayout

Hyperparameters: TypeAlias = Mapping[str, Any]
Update: TypeAlias = tuple[Tensor, State]
"""The next parameter [K, ...] and the next state."""


@dataclass(frozen=True)
class Rule(ABC):
    """One step of an optimizer, for K members at once.

    Tensors have a leading axis K. A numeric hyperparameter is a Python number or a [K] float64
    tensor on the CPU (for `betas` a pair of them); a structural choice is a Python bool or string.

    Attributes:
        semantics: how a complex entry is treated: `split`, as two reals, or `modulus`, as one
            complex number.
        state_layout: what the state may hold, by name.
        set_at_first_step: names in `state_layout` that `update` sets, not `init`.
        takes_sparse_gradients: whether entries without a gradient stay unchanged, so that a sparse
            gradient gives the same step as the dense one; other rules decay or move these entries.
    """

    semantics: Semantics
    state_layout: ClassVar[StateLayout]
    set_at_first_step: ClassVar[frozenset[str]] = frozenset()
    takes_sparse_gradients: ClassVar[bool] = False

    def check(self, h: Hyperparameters) -> None:  # noqa: B027  # most rules have nothing to check
        """Raise ValueError if hyperparameters contradict each other; their ranges are checked
        before."""

    def check_shape(self, shape: torch.Size, h: Hyperparameters) -> None:  # noqa: B027  # as above
        """Raise ValueError if the rule rejects parameters of this shape, without the leading
        axis."""

    def init(self, w: Tensor) -> State:
        """The state before the first step of a parameter w [K, ...].

        A `number` is a zero for each member, float32 [K] on the CPU; a `tensor` and a `magnitude`
        are zeros [K, ...] on the parameter's device.
        """
        state = {}
        for name, kind in self.state_layout.items():
            if name in self.set_at_first_step:
                continue
            if kind == "number":
                state[name] = torch.zeros(w.shape[0], dtype=torch.float32)
            elif kind == "tensor":
                state[name] = torch.zeros_like(w)
            else:
                state[name] = RealView(w, self.semantics).no_magnitude()
        return state

    @abstractmethod
    def update(self, w: Tensor, g: Tensor, state: State, h: Hyperparameters) -> Update:
        """Compute the next parameter and the next state, without changing the arguments.

        Args:
            w: parameter [K, ...].
            g: its gradient [K, ...], as the optimizer receives it.
            state: the result of `init` or of the last `update`.
            h: hyperparameters by name.
        """
