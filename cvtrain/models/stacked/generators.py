"""The random state of a stack: one generator per member."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class MemberGenerators:
    """K random generators, one for each member of a stack.

    The draws of member k depend only on its seed and its earlier draws, not on K, k or other
    members.

    Args:
        seeds: one per member.
        device: device on which numbers are drawn.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.seed(seeds, device)

    def __len__(self) -> int:
        return len(self._generators)

    def seed(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        """Reset every member's generator, as ``torch.manual_seed(seed)`` does."""
        self._device = torch.device(device)
        self._generators = [torch.Generator(self._device).manual_seed(seed) for seed in seeds]

    def state(self) -> Tensor:
        """States [K, bytes], uint8, on the CPU. For a generator on the CPU a row is the value of
        ``torch.get_rng_state()``."""
        return torch.stack([generator.get_state() for generator in self._generators])

    def state_of(self, member: int) -> Tensor:
        """State [bytes] of one member: its row of `state`."""
        return self._generators[member].get_state()

    def restore(self, state: Tensor) -> None:
        """Restore states that `state` returned for as many generators on the same kind of device.

        Raises:
            ValueError: `state` has another number of rows.
        """
        if len(state) != len(self):
            raise ValueError(f"{len(state)} random states: should be {len(self)}, one per member")
        for generator, row in zip(self._generators, state.cpu(), strict=True):
            # A view of a row of a larger tensor crashes torch's set_state.
            generator.set_state(row.clone())

    def dropout_masks(self, shape: Sequence[int], p: float, dtype: torch.dtype) -> Tensor:
        """One mask per member, [K, *shape]: 0 with probability p < 1, otherwise 1/(1 − p)."""
        masks = torch.empty(len(self), *shape, dtype=dtype, device=self._device)
        for mask, generator in zip(masks, self._generators, strict=True):
            mask.bernoulli_(1 - p, generator=generator)
        return masks.div_(1 - p)
