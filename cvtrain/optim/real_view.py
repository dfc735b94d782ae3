"""Complex entries as two reals, for rules that treat Re and Im apart (`split`)."""

from __future__ import annotations

import torch
from torch import Tensor

from cvtrain.optim.rule import State


def as_real(z: Tensor) -> Tensor:
    """[K, ...] complex as [K, ..., 2] real; real as it is."""
    return torch.view_as_real(z) if z.is_complex() else z


def as_complex(w: Tensor, state: State) -> tuple[Tensor, State]:
    """What `as_real` made of a complex parameter and of its state, complex again; `step` stays."""
    after = {name: s if name == "step" else torch.view_as_complex(s) for name, s in state.items()}
    return torch.view_as_complex(w), after
