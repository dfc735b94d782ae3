"""Replacements for functions of torch that `vmap` cannot compute for K members."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrize import is_parametrized
from torch.overrides import TorchFunctionMode

from cvtrain.models.forward_state import StatefulForward
from cvtrain.models.object_state import LIBRARIES
from cvtrain.models.stacked.dropout import DROPOUT, MemberMasks
from cvtrain.models.stacked.generators import MemberGenerators
from cvtrain.models.stacked.recurrent import (
    RECURRENT,
    RECURRENT_CELLS,
    recurrent,
    recurrent_cell,
)

_KNOWN = LIBRARIES | sys.stdlib_module_names


class MemberFunctions(nn.Module):
    """Mixin for a network: within its forward, some functions of torch act on each member
    separately.

    These are dropout, recurrent layers, weight normalisation and spectral normalisation.
    """

    _generators: MemberGenerators

    def draw_from(self, generators: MemberGenerators) -> None:
        """Set the generators from which masks are drawn, one per member."""
        self._generators = generators

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the network's forward."""
        # An input may be common to all members, parameters never are.
        of_member = next(self.parameters(), None)
        with _Replaced(MemberMasks(of_member, self._generators, self.training)):
            return super().forward(*args, **kwargs)


def calls_member_functions(network: nn.Module) -> bool:
    """Whether a forward of the network may call functions that `MemberFunctions` replaces.

    A user's own forward may. For layers of torch their attributes tell; inspecting each call would
    take longer than the call.
    """
    return any(
        isinstance(layer, nn.RNNCellBase)
        or hasattr(layer, "dropout")
        or hasattr(layer, "p")
        or is_parametrized(layer)
        or any(kind.__module__.partition(".")[0] not in _KNOWN for kind in type(layer).__mro__)
        for layer in network.modules()
    )


class _Replaced(TorchFunctionMode):
    """Mode in which functions of torch act on each member separately."""

    def __init__(self, masks: MemberMasks) -> None:
        super().__init__()
        self._masks = masks

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if func in DROPOUT:
            x, *others = args or (named.pop("input"),)
            return self._masks.dropout(func, x, *others, **named)
        # Otherwise `vmap` reports an .item() that the network does not call.
        if getattr(func, "__name__", "") == "_pack_padded_sequence":
            raise NotImplementedError("packed sequences, of several lengths, are not stacked")
        # The second argument of packed sequences is their batch sizes.
        if func in RECURRENT and isinstance(args[3], bool):
            between = partial(self._masks.dropout, F.dropout)
            return recurrent(between, RECURRENT[func], *args, **named)
        if func in RECURRENT_CELLS:
            return recurrent_cell(RECURRENT_CELLS[func], *args, **named)
        if func is torch._weight_norm:
            return _weight_norm(*args, **named)
        # torch's spectral normalisation writes into its buffers with `out`, which `vmap` does not
        # take.
        if func is F.normalize and named.get("out") is not None:
            out = named.pop("out")
            return out.copy_(func(*args, **named))
        try:
            return func(*args, **named)
        except RuntimeError as error:
            if "randomness error mode" not in str(error):
                raise
            name = getattr(func, "__name__", str(func))
            raise StatefulForward(
                f"its forward draws random numbers by {name} (a stack has those of F.dropout)"
            ) from None


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """v · g / ‖v‖, with norms over all axes but `dim`, or over all axes if `dim` is −1.

    Salimans and Kingma 2016, Weight normalization, equation 2. torch's kernel has no batching rule.
    """
    axes = [axis for axis in range(v.dim()) if axis != dim]
    norms: Tensor = torch.linalg.vector_norm(v, dim=axes, keepdim=True)
    return v * (g / norms)
