"""The share of the squared gradient that complex parameters carry, averaged along a short training.

Under gradient flow with learning rate η the loss falls at the rate η·|∂L|². A convention of scale c
slows this to 1 − (1 − c)·s, where s is the share of the squared gradient of the whole training set
that complex parameters carry: the curve over the learning rate moves by −log₂(1 − (1 − c)·s)
octaves. s changes along the training.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from cvtrain.analysis.inspected_network import InspectedNetwork, Pieces

BATCH = 64
POINTS = 10
"""Number of measurements of the share along a training."""
SPEED = 0.02
"""Share of the loss that one update removes to first order at the initial weights."""
ATTEMPTS = 8


@dataclass(frozen=True)
class ShareAlongTraining:
    """The share of the squared gradient along a training by SGD.

    Attributes:
        share: mean over the measurements.
        steps: number of updates.
        rate: learning rate.
        losses: loss of the whole set before the first and after the last update.
    """

    share: float
    steps: int
    rate: float
    losses: tuple[float, float]


def share_along_training(
    problem: InspectedNetwork, all_pieces: Pieces, samples: int, steps: int
) -> ShareAlongTraining | None:
    """Train a network briefly and measure the complex share before, along and after the training.

    Plain SGD on batches of `BATCH` samples at a rate that is low for these weights: γL/‖∂L‖², which
    lowers the loss L by the share γ = `SPEED` per step to first order. The rate is halved if the
    loss rises. The weights are restored.

    Args:
        problem: network, loss and precision.
        all_pieces: inputs and targets of all samples.
        samples: number of samples to use, rounded to whole pieces.
        steps: number of updates, at least 1.

    Returns:
        None without a gradient, or if the loss falls at no rate.
    """

    def pieces() -> Iterator[tuple[Any, Any]]:
        counted = 0
        for piece in all_pieces():
            if counted >= samples:
                return
            counted += len(tree_leaves(piece)[0])
            yield piece

    weights = [p for p in problem.network.parameters() if p.requires_grad]
    before = [w.detach().clone() for w in weights]
    squared, _ = _squares(problem, pieces)
    first = _loss(problem, pieces)
    try:
        if not (0 < squared < math.inf and 0 < abs(first) < math.inf):
            return None
        rate = SPEED * abs(first) / squared
        for _ in range(ATTEMPTS):
            shares = list(_trained(problem, weights, pieces, steps, rate))
            last = _loss(problem, pieces)
            if last < first:
                return ShareAlongTraining(sum(shares) / len(shares), steps, rate, (first, last))
            rate /= 2
            _put(weights, before)
        return None
    finally:
        _put(weights, before)


def _trained(
    problem: InspectedNetwork, weights: list[nn.Parameter], pieces: Pieces, steps: int, rate: float
) -> Iterator[float]:
    batches = _batches(problem, pieces)
    measured = {round(steps * point / (POINTS - 1)) for point in range(POINTS)}
    for step in range(steps + 1):
        if step in measured:
            yield _squares(problem, pieces)[1]
        if step < steps:
            problem.network.zero_grad(set_to_none=True)
            torch.autograd.backward(problem.value(*next(batches)))
            with torch.no_grad():
                for w in weights:
                    if w.grad is not None:
                        w.sub_(rate * w.grad)


def _squares(problem: InspectedNetwork, pieces: Pieces) -> tuple[float, float]:
    """The squared gradient over all samples, and the share of it that complex parameters carry."""
    problem.accumulate(pieces())
    squares = [
        (p.is_complex(), float(p.grad.abs().square().sum()))
        for p in problem.network.parameters()
        if p.grad is not None
    ]
    total = math.fsum(square for _, square in squares)
    carried = math.fsum(square for is_complex, square in squares if is_complex)
    return total, carried / total if total > 0 else math.nan


def _loss(problem: InspectedNetwork, pieces: Pieces) -> float:
    """The mean of the losses of the pieces."""
    with torch.no_grad():
        values = [float(problem.value(*problem.tensors(piece))) for piece in pieces()]
    return math.fsum(values) / len(values)


def _batches(problem: InspectedNetwork, pieces: Pieces) -> Iterator[tuple[Any, Any]]:
    """Batches of all samples in their order, endlessly."""
    while True:
        for piece in pieces():
            inputs, targets = problem.tensors(piece)
            for begin in range(0, len(tree_leaves(inputs)[0]), BATCH):

                def cut(leaf: Any, begin: int = begin) -> Any:
                    batched = isinstance(leaf, Tensor) and leaf.dim()
                    return leaf[begin : begin + BATCH] if batched else leaf

                yield tree_map(cut, inputs), tree_map(cut, targets)


def _put(weights: list[nn.Parameter], values: list[Tensor]) -> None:
    with torch.no_grad():
        for w, value in zip(weights, values, strict=True):
            w.copy_(value)
