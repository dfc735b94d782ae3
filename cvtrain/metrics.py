"""How good an output is, in units that do not depend on the objective."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from cvtrain.data.dataset import Dataset

Metric = Callable[[Tensor, Tensor], Tensor]


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


def symbol_error_rate(output: Tensor, target: Tensor, alphabet: Tensor) -> Tensor:
    """Share of outputs whose nearest symbol is not the one that was sent.

    Args:
        output: ŷ [N, out], complex.
        target: y [N, out], entries of `alphabet`.
        alphabet: symbols, [S], complex.
    """
    symbols = alphabet.to(output.device)

    def nearest(z: Tensor) -> Tensor:
        return (z.unsqueeze(-1) - symbols).abs().argmin(dim=-1)

    wrong = nearest(output) != nearest(target)
    return wrong.to(output.dtype.to_real()).mean()


def metrics_of(dataset: Dataset) -> dict[str, Metric]:
    """Beside the loss, what is measured on a data set, by name: ``accuracy`` of a classification,
    ``nmse`` of a regression, and ``symbol_error_rate`` where its targets are symbols."""
    if dataset.task == "classification":
        return {"accuracy": accuracy}
    found: dict[str, Metric] = {"nmse": nmse}
    if dataset.alphabet is not None:
        found["symbol_error_rate"] = partial(symbol_error_rate, alphabet=dataset.alphabet)
    return found
