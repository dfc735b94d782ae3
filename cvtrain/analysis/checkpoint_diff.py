"""The last weights of runs, and the distance between two of them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from cvtrain.runs.checkpoint import load_checkpoint


def last_weights(directory: Path) -> dict[str, Tensor]:
    """Parameters and buffers at the end of the run in `directory`, by name."""
    return load_checkpoint(directory / "checkpoints" / "last.ckpt")[0]


def difference(left: dict[str, Tensor], right: dict[str, Tensor]) -> float:
    """max |w − w'| / max |w| over parameters and buffers; 0 only if all bits are equal. Weights of
    different precision are compared in the higher precision."""
    if all(_equal(left[name], right[name]) for name in left):
        return 0.0
    apart = max(
        float((left[name] - right[name]).abs().max() / left[name].abs().max()) for name in left
    )
    return apart or torch.finfo(torch.float64).tiny


def _equal(left: Tensor, right: Tensor) -> bool:
    return left.dtype == right.dtype and torch.equal(left, right)
