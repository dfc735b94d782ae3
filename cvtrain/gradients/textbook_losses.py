"""Recognise a loss by its values, and with it a constant such as a hidden ½."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from cvtrain.gradients.losses import cross_entropy

TRIALS = 3

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class RecognisedLoss:
    """A loss that is a constant times a textbook loss.

    Attributes:
        formula: the textbook loss, e.g. ``mean |ŷ − y|²``.
        constant: factor by which the loss differs from it.
        numbers: number of entries that the mean averages.
        is_complex: whether outputs are complex.
    """

    formula: str
    constant: float
    numbers: int
    is_complex: bool

    @property
    def sentence(self) -> str:
        """The loss in words, and the effect of its constant."""
        if _near(self.constant, 1):
            return f"The loss is {self.formula}, without a ½."
        if _near(self.constant, self.numbers):
            return f"The loss is the sum in place of {self.formula}, {self.numbers} times as large."
        if not _near(self.constant, 0.5):
            return f"The loss is {self.constant:.6g} × {self.formula}."
        squares = self.is_complex and "²" in self.formula
        why = " mse_loss of view_as_real is that, since it counts Re and Im as two;" * squares
        return (
            f"A ½ is hidden in the loss: it is ½ {self.formula};{why} it halves the gradient of"
            " every parameter, real ones too, as half the learning rate does under SGD."
        )


def recognise_loss(loss: Loss, outputs: Tensor, targets: Tensor) -> RecognisedLoss | None:
    """The textbook loss that has a constant ratio to a loss for changed outputs, or None.

    None does not mean that the loss has no constant: only a few losses are known here.

    Args:
        loss: function of outputs and targets that returns a real number [].
        outputs: outputs of a network, real or complex, [N, ...].
        targets: targets in the form that `loss` takes.
    """
    generator = torch.Generator().manual_seed(0)
    size = float(outputs.detach().abs().square().mean().sqrt()) or 1.0
    changed = [
        outputs.detach()
        + size * torch.randn(outputs.shape, dtype=outputs.dtype, generator=generator)
        for _ in range(TRIALS)
    ]
    tolerance = 100 * torch.finfo(outputs.dtype).eps
    with torch.no_grad():
        values = [float(loss(o, targets)) for o in changed]
        for formula, numbers, textbook in _textbook(outputs, targets):
            ratios = [
                value / (float(textbook(o)) or math.nan)
                for value, o in zip(values, changed, strict=True)
            ]
            constant = sum(ratios) / len(ratios)
            if constant != 0 and max(abs(r / constant - 1) for r in ratios) < tolerance:
                is_complex = outputs.is_complex()
                return RecognisedLoss(formula, constant, numbers, is_complex)
    return None


def _textbook(
    outputs: Tensor, targets: Tensor
) -> Iterator[tuple[str, int, Callable[[Tensor], Tensor]]]:
    """Formulas that fit the shapes, the numbers of entries that they average, and their
    functions."""
    if not targets.is_floating_point() and not targets.is_complex():
        if outputs.dim() >= 2 and outputs.shape[:1] + outputs.shape[2:] == targets.shape:
            name = "cross-entropy of |z|" if outputs.is_complex() else "cross-entropy"
            yield f"mean {name}", targets.numel(), lambda o: cross_entropy(o, targets)
        return
    if outputs.is_complex() and not targets.is_complex() and targets.shape[-1:] == (2,):
        targets = torch.view_as_complex(targets.contiguous())
    if outputs.shape == targets.shape:
        difference = "|ŷ − y|" if outputs.is_complex() else "(ŷ − y)"
        yield f"mean {difference}²", outputs.numel(), lambda o: (o - targets).abs().square().mean()
        yield "mean |ŷ − y|", outputs.numel(), lambda o: (o - targets).abs().mean()
    if outputs.is_complex() and outputs.shape == targets.shape and not targets.is_complex():
        squares = lambda o: F.mse_loss(o.abs(), targets)  # noqa: E731
        yield "mean (|ŷ| − y)²", outputs.numel(), squares


def _near(number: float, other: float) -> bool:
    return math.isclose(number, other, rel_tol=1e-6)
