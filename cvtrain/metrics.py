"""How good an output is, in units that do not depend on the objective."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def accuracy(output: Tensor, target: Tensor) -> Tensor:
    """Share of samples whose largest |z| (largest z, where it is real) is that of their class.

    Args:
        output: z [N, classes].
        target: classes, [N] int64.
    """
    scores = output.abs() if output.is_complex() else output
    return (scores.argmax(dim=-1) == target).to(scores.dtype).mean()


def nmse(output: Tensor, target: Tensor) -> Tensor:
    """Σ|ŷ − y|² / Σ|y|², a plain ratio (not in dB): 1 for an output of zeros, 0 for a perfect one.

    Args:
        output: ŷ [N, out].
        target: y [N, out].
    """
    return (output - target).abs().square().sum() / target.abs().square().sum()


METRICS: dict[str, dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "classification": {"accuracy": accuracy},
    "regression": {"nmse": nmse},
}
"""By the data's task, then by name."""
