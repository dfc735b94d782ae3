"""Dropout with a separate mask for each member of a stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cvtrain.models.forward_state import StatefulForward
from cvtrain.models.stacked.generators import MemberGenerators

# A mask has an entry per channel; these also take a single sample, whose channels come first.
_AXES_OF_A_SAMPLE: dict[Callable[..., Any], int | None] = {
    F.dropout1d: 2,
    F.dropout2d: None,
    F.dropout3d: 4,
}
DROPOUT: frozenset[Callable[..., Any]] = frozenset({F.dropout, *_AXES_OF_A_SAMPLE})
"""Functions of torch that `MemberMasks.dropout` replaces."""


class MemberMasks:
    """Masks of dropout drawn from the generators of the members.

    On the CPU the masks are bit-identical to those that the network alone draws after
    ``torch.manual_seed(seed)``, with two exceptions: entries of a mask are drawn in the order of
    its axes, while torch uses the memory order of a tensor that is not contiguous; and a GPU's own
    kernel for dropout draws other numbers.

    Args:
        of_member: a tensor that differs between members, such as a parameter, since an input may be
            common to all; None: the input of dropout.
        generators: one per member.
        training: whether the network is in training mode; otherwise drawing a mask is an error.
    """

    def __init__(
        self, of_member: Tensor | None, generators: MemberGenerators, training: bool = True
    ) -> None:
        self._of_member = of_member
        self._generators = generators
        self._training = training

    def dropout(
        self,
        func: Callable[..., Tensor],
        x: Tensor,
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> Tensor:
        """The result of ``func(x, p, training, inplace)`` for each member; `func` is in `DROPOUT`.

        A complex input of ``F.dropout``, which torch rejects in training, gets one real mask for
        both parts.

        Raises:
            StatefulForward: a mask is to be drawn in evaluation mode.
        """
        if not training or p in (0, 1) or x.numel() == 0:
            return func(x, p, training, inplace)
        # The function's own checks of p and of the shape, without drawing.
        func(x, p, False)
        if not self._training:
            raise StatefulForward("its forward draws masks of dropout in evaluation mode")
        shape = x.shape
        if func is not F.dropout:
            axes = 1 if x.dim() == _AXES_OF_A_SAMPLE[func] else 2
            shape = x.shape[:axes] + (1,) * (x.dim() - axes)
        of_member = x if self._of_member is None else self._of_member
        apply: Callable[..., Any] = _MemberMask.apply  # some versions of torch have no type for it
        mask = apply(x.detach(), of_member.detach(), shape, p, self._generators)
        return x.mul_(mask) if inplace else x * mask


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
