"""Dropout in which each member of a stack has a mask of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torchcvnn.nn
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from cvtrain.models.stacked.generators import MemberGenerators

DROPOUT_LAYERS: tuple[type[nn.Module], ...] = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    torchcvnn.nn.Dropout,
    torchcvnn.nn.Dropout2d,
    torchcvnn.nn.MultiheadAttention,
)

# A mask has an entry per channel; these also take a single sample, whose channels come first.
_AXES_OF_A_SAMPLE: dict[Callable[..., Any], int | None] = {
    F.dropout1d: 2,
    F.dropout2d: None,
    F.dropout3d: 4,
}


class _MemberMask(torch.autograd.Function):
    """The masks of all members; an autograd function, so that it is called once under ``vmap``."""

    @staticmethod
    def forward(
        x: Tensor, of_member: Tensor, shape: Sequence[int], p: float, generators: MemberGenerators
    ) -> Tensor:
        if len(generators) != 1:
            raise RuntimeError(
                f"dropout with the generators of {len(generators)} members: should be called "
                "under vmap over the stacked parameters"
            )
        return generators.dropout_masks(shape, p, x.dtype.to_real())[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[int | None, ...],
        x: Tensor,
        of_member: Tensor,
        shape: Sequence[int],
        p: float,
        generators: MemberGenerators,
    ) -> tuple[Tensor, int]:
        if info.batch_size != len(generators):
            raise RuntimeError(
                f"dropout under vmap over {info.batch_size}: should be over the "
                f"{len(generators)} members that have generators"
            )
        return generators.dropout_masks(shape, p, x.dtype.to_real()), 0


class _MemberDraws(TorchFunctionMode):
    """Mode in which torch's dropout functions draw from the members' generators."""

    def __init__(self, of_member: Tensor | None, generators: MemberGenerators) -> None:
        super().__init__()
        self._of_member = of_member
        self._generators = generators

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is F.dropout or func in _AXES_OF_A_SAMPLE:
            return self._dropout(func, *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _dropout(
        self,
        func: Callable[..., Tensor],
        x: Tensor,
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> Tensor:
        if not training or p in (0, 1) or x.numel() == 0:
            return func(x, p, training, inplace)
        # The function's own checks of p and of the shape; no draw.
        func(x, p, False)
        shape = x.shape
        if func is not F.dropout:
            axes = 1 if x.dim() == _AXES_OF_A_SAMPLE[func] else 2
            shape = x.shape[:axes] + (1,) * (x.dim() - axes)
        of_member = x if self._of_member is None else self._of_member
        apply: Callable[..., Any] = _MemberMask.apply  # some versions of torch have no type for it
        mask = apply(x.detach(), of_member.detach(), shape, p, self._generators)
        return x.mul_(mask) if inplace else x * mask


class MemberDropout(nn.Module):
    """Mixin for the layers of `DROPOUT_LAYERS`: their forward with a mask for each member.

    On the host the masks are, bit for bit, those that the layer alone draws after
    ``torch.manual_seed(seed)``. Two differences: the entries of a mask are drawn in the order of
    its axes, where ``nn.Dropout`` goes by the memory of a tensor that is not contiguous; and a
    GPU's own kernel for dropout draws other numbers.

    A complex input of ``nn.Dropout``, which torch refuses in training, gets one real mask for both
    parts.
    """

    _network: tuple[nn.Module]
    _generators: MemberGenerators

    def draw_for(self, network: nn.Module, generators: MemberGenerators) -> None:
        """Draw from `generators`, one for each of the members whose weights `network` is given."""
        # In a tuple, or the network would become a part of its own layer.
        self._network = (network,)
        self._generators = generators

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer's forward with the members' masks."""
        # An input may be common to all members, but never the parameters.
        of_member = next(self._network[0].parameters(), None)
        with _MemberDraws(of_member, self._generators):
            return super().forward(*args, **kwargs)
