"""Splits of a data set, moved to the device of training once."""

from __future__ import annotations

import torch

from cvtrain.data.dataset import Split


class DeviceSplits:
    """Keeps what it moved, for as long as it lives."""

    def __init__(self) -> None:
        self._moved: dict[int, tuple[Split, Split]] = {}

    def on(self, device: torch.device, split: Split) -> Split:
        """`split` there: itself, or the copy made when it was first asked for."""
        if split.inputs.device == device:
            return split
        # By identity, which is the split's own while it is kept here too.
        _, moved = self._moved.get(id(split), (split, None))
        if moved is None or moved.inputs.device != device:
            moved = Split(split.inputs.to(device), split.targets.to(device))
            self._moved[id(split)] = (split, moved)
        return moved
