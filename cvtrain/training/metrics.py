"""How good an output is, in units that do not depend on the objective.

Every metric is a function of sums over samples, so that a split is measured piece by piece, however
large it is, and in whatever pieces it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import vmap

from cvtrain.data.dataset import IGNORED, Dataset
from cvtrain.gradients.losses import Objective

RISING = ("accuracy", "mean_iou")
"""Metrics of which more is better; of all others, and of the loss, less is."""


@dataclass(frozen=True)
class Metric:
    """A real number of outputs and their targets; a metric can be called with both.

    Attributes:
        sums: [terms], real, of outputs and targets; those of two sets of samples together are the
            sums of both.
        of_sums: the metric, of such sums.
    """

    sums: Callable[[Tensor, Tensor], Tensor]
    of_sums: Callable[[Tensor], Tensor]

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """The metric of one set of samples."""
        return self.of_sums(self.sums(output, target))


class Totals:
    """Metrics of samples that come piece by piece.

    Args:
        metrics: by name.
        members: whether outputs are those of K networks, [K, N, …], of the same samples.
    """

    def __init__(self, metrics: Mapping[str, Metric], *, members: bool = False) -> None:
        self._metrics = metrics
        self._members = members
        self._sums: dict[str, Tensor] = {}

    def add(self, output: Tensor, target: Tensor) -> None:
        """Count N more samples: their outputs [N, …], or [K, N, …], and targets [N, …]."""
        for name, metric in self._metrics.items():
            sums = vmap(metric.sums, in_dims=(0, None)) if self._members else metric.sums
            of_piece = sums(output, target)
            self._sums[name] = self._sums[name] + of_piece if name in self._sums else of_piece

    def values(self) -> dict[str, Tensor]:
        """Each metric of all samples so far: real scalars, or [K]."""
        return {
            name: (vmap(metric.of_sums) if self._members else metric.of_sums)(self._sums[name])
            for name, metric in self._metrics.items()
        }


def _ratio(sums: Tensor) -> Tensor:
    return sums[0] / sums[1]


def scores(output: Tensor) -> Tensor:
    """What the largest of decides the class: |z|, or z itself where it is real."""
    return output.abs() if output.is_complex() else output


def _hits(output: Tensor, target: Tensor) -> Tensor:
    s = scores(output)
    counted = target != IGNORED
    right = (s.argmax(dim=1) == target) & counted
    return torch.stack([right.sum(), counted.sum()]).to(s.dtype)


accuracy = Metric(_hits, _ratio)
"""Share of labels that are right: the class of the largest |z|, or z where it is real.

Outputs z are [N, classes, …], labels [N, …] int64; those that are `IGNORED` do not count.
"""


def _regions(output: Tensor, target: Tensor) -> Tensor:
    s = scores(output)
    classes = torch.arange(s.shape[1], device=s.device)
    counted = (target != IGNORED).unsqueeze(-1)
    found = (s.argmax(dim=1).unsqueeze(-1) == classes) & counted
    there = target.unsqueeze(-1) == classes
    axes = list(range(target.dim()))
    return torch.cat([(found & there).sum(axes), (found | there).sum(axes)]).to(s.dtype)


def _mean_of_ratios(sums: Tensor) -> Tensor:
    intersection, union = sums.chunk(2)
    occurs = union > 0
    ratios = intersection / union.clamp(min=1)
    return ratios.sum() / occurs.sum()  # a class that is nowhere has no ratio


mean_iou = Metric(_regions, _mean_of_ratios)
"""Mean over classes of |A ∩ B| / |A ∪ B|: A the labels of a class, B those that an output gives it.

Classes that neither labels nor outputs have are left out. Shapes as for `accuracy`.
"""


def _error_and_power(output: Tensor, target: Tensor) -> Tensor:
    error = (output - target).abs().square().sum()
    return torch.stack([error, target.abs().square().sum()])


nmse = Metric(_error_and_power, _ratio)
"""Σ|ŷ − y|² / Σ|y|², a plain ratio: 1 for an output of zeros, 0 for a perfect one.

Outputs ŷ and targets y are of one shape, complex.
"""

nmse_db = Metric(_error_and_power, lambda sums: 10 * _ratio(sums).log10())
"""`nmse` in decibels, 10 log₁₀(Σ|ŷ − y|² / Σ|y|²): 0 for an output of zeros."""

error_vector_magnitude = Metric(_error_and_power, lambda sums: _ratio(sums).sqrt())
"""√(Σ|ŷ − y|² / Σ|y|²): root mean square error over the root mean square symbol.

Normalised by the mean power of the symbols that were sent, as in IEEE 802.11, section 17.3.9.8.
"""


def symbol_error_rate(alphabet: Tensor) -> Metric:
    """Share of outputs ŷ whose nearest symbol is not the one that was sent.

    Args:
        alphabet: symbols, [S], complex; all targets are of it.
    """

    def nearest(z: Tensor) -> Tensor:
        return (z.unsqueeze(-1) - alphabet.to(z.device)).abs().argmin(dim=-1)

    def wrong(output: Tensor, target: Tensor) -> Tensor:
        errors = (nearest(output) != nearest(target)).to(output.dtype.to_real())
        return torch.stack([errors.sum(), errors.new_tensor(errors.numel())])

    return Metric(wrong, _ratio)


def metrics_of(dataset: Dataset) -> dict[str, Metric]:
    """Beside the loss, what is measured on a data set, by name: ``accuracy`` of a classification,
    with ``mean_iou`` where every pixel has a label; ``nmse`` and ``nmse_db`` of a regression, with
    ``evm`` and ``symbol_error_rate`` where its targets are symbols."""
    if dataset.task == "classification":
        found = {"accuracy": accuracy}
        if len(dataset.positions) == 2:
            found["mean_iou"] = mean_iou
        return found
    found = {"nmse": nmse, "nmse_db": nmse_db}
    if dataset.alphabet is not None:
        found["evm"] = error_vector_magnitude
        found["symbol_error_rate"] = symbol_error_rate(dataset.alphabet)
    return found


def measured(dataset: Dataset, objective: Objective) -> dict[str, Metric]:
    """The loss, unscaled, and `metrics_of` the data set."""

    def sums(output: Tensor, target: Tensor) -> Tensor:
        loss = objective.loss_value(output, target)
        counted = (target != IGNORED).sum().to(loss.dtype)
        # A mean over nothing is NaN.
        total = torch.where(counted > 0, loss * counted, torch.zeros_like(loss))
        return torch.stack([total, counted])

    return {"loss": Metric(sums, _ratio), **metrics_of(dataset)}
