"""Metrics that are measured during training, independent of the objective.

Every metric is a function of sums over samples. A split of any size can therefore be measured in
pieces, and the result does not depend on the pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import vmap

from cvtrain.data.dataset import Dataset
from cvtrain.gradients.losses import IGNORED, Objective, one_number

RISING = ("accuracy", "mean_iou")
"""Metrics of data sets for which larger values are better; for the others, and for the loss,
smaller values are. Metrics that a configuration adds state their direction."""


@dataclass(frozen=True)
class Metric:
    """A real number computed from outputs and targets: ``metric(output, target)``.

    Attributes:
        sums: function that maps outputs and targets to real sums over samples, [terms]; the sums of
            two sets of samples together are the sums of both added.
        of_sums: function that maps such sums to the metric.
        rising: whether larger values are better.
        weighted: whether `sums` takes weights of samples after the targets, if they have any.
    """

    sums: Callable[..., Tensor]
    of_sums: Callable[[Tensor], Tensor]
    rising: bool = False
    weighted: bool = False

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """The metric of one set of samples."""
        return self.of_sums(self.sums(output, target))


@dataclass(frozen=True)
class WholeMetric:
    """A metric of all outputs and targets of a split at once, which are stored until the split
    ends.

    Attributes:
        function: function that maps outputs and targets to a real number, or to one per sample,
            whose mean is the metric.
        rising: whether larger values are better.
    """

    function: Callable[[Tensor, Tensor], Tensor]
    rising: bool = False

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """The metric of one set of samples.

        Raises:
            TypeError, ValueError: the result is neither a real number nor one per sample.
        """
        with torch.no_grad():
            return one_number(self.function(output, target), len(target))


AnyMetric = Metric | WholeMetric


def directions(metrics: Mapping[str, AnyMetric]) -> dict[str, bool]:
    """Whether larger values are better, by name of the metric."""
    return {name: metric.rising for name, metric in metrics.items()}


def without_loss(metrics: Mapping[str, AnyMetric]) -> dict[str, AnyMetric]:
    """The metrics that are computed from outputs, without the loss if that is not."""
    return {name: metric for name, metric in metrics.items() if name != "loss"}


class Totals:
    """Accumulates metrics over samples that come in pieces.

    Args:
        metrics: metrics by name.
        members: whether outputs are those of K networks, [K, N, …].
        own_samples: whether each network has its own targets, [K, N, …].
    """

    def __init__(
        self, metrics: Mapping[str, AnyMetric], *, members: bool = False, own_samples: bool = False
    ) -> None:
        self._metrics = metrics
        self._members = members
        self._own_samples = own_samples
        self._sums: dict[str, Tensor] = {}
        self._pieces: list[tuple[Tensor, Tensor]] = []
        self._whole = any(isinstance(metric, WholeMetric) for metric in metrics.values())

    def add(self, output: Tensor, target: Tensor, weights: Tensor | None = None) -> None:
        """Add N samples: outputs [N, …], or [K, N, …] with `members`, and targets [N, …] and
        weights [N], or [K, N, …] and [K, N] with `own_samples`. Weights count in the loss alone."""
        axis = 0 if self._own_samples else None
        if self._whole:
            self._pieces.append((output, target))
        for name, metric in self._metrics.items():
            if isinstance(metric, WholeMetric):
                continue
            own = (target,) if weights is None or not metric.weighted else (target, weights)
            axes = (0, *(axis for _ in own))
            sums = vmap(metric.sums, in_dims=axes) if self._members else metric.sums
            of_piece = sums(output, *own)
            self._sums[name] = self._sums[name] + of_piece if name in self._sums else of_piece

    def values(self) -> dict[str, Tensor]:
        """The metrics of all samples so far, by name: real scalars, or [K] with `members`."""
        return {name: self._value(name, metric) for name, metric in self._metrics.items()}

    def _value(self, name: str, metric: AnyMetric) -> Tensor:
        if isinstance(metric, Metric):
            of_sums = vmap(metric.of_sums) if self._members else metric.of_sums
            return of_sums(self._sums[name])
        outputs, targets = zip(*self._pieces, strict=True)
        if not self._members:
            return metric(torch.cat(outputs), torch.cat(targets))
        of_members = torch.cat(outputs, dim=1)
        if not self._own_samples:
            own = [torch.cat(targets)] * len(of_members)
        else:
            own = list(torch.cat(targets, dim=1))
        return torch.stack([metric(*pair) for pair in zip(of_members, own, strict=True)])


def _ratio(sums: Tensor) -> Tensor:
    return sums[0] / sums[1]


def scores(output: Tensor) -> Tensor:
    """Scores of classes, of which the largest wins: |z| of complex outputs, z of real ones."""
    return output.abs() if output.is_complex() else output


def _hits(output: Tensor, target: Tensor) -> Tensor:
    s = scores(output)
    counted = target != IGNORED
    right = (s.argmax(dim=1) == target) & counted
    return torch.stack([right.sum(), counted.sum()]).to(s.dtype)


accuracy = Metric(_hits, _ratio, rising=True)
"""Share of correct labels; the predicted class has the largest |z|, or z for real outputs.

Outputs z are [N, classes, …], labels [N, …] int64; labels that are `IGNORED` do not count.
"""


def _regions(output: Tensor, target: Tensor) -> Tensor:
    s = scores(output)
    classes = torch.arange(s.shape[1], device=s.device)
    counted = (target != IGNORED).unsqueeze(-1)
    predicted = (s.argmax(dim=1).unsqueeze(-1) == classes) & counted
    labelled = target.unsqueeze(-1) == classes
    axes = list(range(target.dim()))
    intersection, union = predicted & labelled, predicted | labelled
    return torch.cat([intersection.sum(axes), union.sum(axes)]).to(s.dtype)


def _mean_of_ratios(sums: Tensor) -> Tensor:
    intersection, union = sums.chunk(2)
    occurs = union > 0
    ratios = intersection / union.clamp(min=1)
    return ratios.sum() / occurs.sum()  # a class that does not occur has no ratio


mean_iou = Metric(_regions, _mean_of_ratios, rising=True)
"""Mean over classes of |A ∩ B| / |A ∪ B|: A the pixels labelled as a class, B those predicted.

Outputs are [N, classes, …], labels [N, …] int64; labels that are `IGNORED` do not count, nor do
classes that are neither labelled nor predicted.
"""


def _error_and_power(output: Tensor, target: Tensor) -> Tensor:
    error = (output - target).abs().square().sum()
    return torch.stack([error, target.abs().square().sum()])


nmse = Metric(_error_and_power, _ratio)
"""Normalised mean square error Σ|ŷ − y|² / Σ|y|²: 1 for an output of zeros, 0 for a perfect one.

Outputs ŷ and targets y are complex and have one shape.
"""

nmse_db = Metric(_error_and_power, lambda sums: 10 * _ratio(sums).log10())
"""`nmse` in decibels, 10 log₁₀(Σ|ŷ − y|² / Σ|y|²): 0 for an output of zeros."""

error_vector_magnitude = Metric(_error_and_power, lambda sums: _ratio(sums).sqrt())
"""√(Σ|ŷ − y|² / Σ|y|²): root mean square error over the root mean square of the symbols sent, as in
IEEE 802.11, section 17.3.9.8.
"""


def symbol_error_rate(alphabet: Tensor) -> Metric:
    """The metric “share of outputs whose nearest symbol is not the one that was sent”.

    Args:
        alphabet: the symbols, [S], complex, to which all targets belong.
    """

    def nearest(z: Tensor) -> Tensor:
        return (z.unsqueeze(-1) - alphabet.to(z.device)).abs().argmin(dim=-1)

    def wrong(output: Tensor, target: Tensor) -> Tensor:
        errors = (nearest(output) != nearest(target)).to(output.dtype.to_real())
        return torch.stack([errors.sum(), errors.new_tensor(errors.numel())])

    return Metric(wrong, _ratio)


def metrics_of(dataset: Dataset) -> dict[str, Metric]:
    """The metrics of a data set besides the loss, by name.

    Classification: ``accuracy``, and ``mean_iou`` if every pixel has a label. Regression: ``nmse``
    and ``nmse_db``, and ``evm`` and ``symbol_error_rate`` if the targets are symbols.
    """
    if dataset.task == "classification":
        return {"accuracy": accuracy} | (
            {"mean_iou": mean_iou} if len(dataset.positions) == 2 else {}
        )
    metrics = {"nmse": nmse, "nmse_db": nmse_db}
    if dataset.alphabet is not None:
        metrics["evm"] = error_vector_magnitude
        metrics["symbol_error_rate"] = symbol_error_rate(dataset.alphabet)
    return metrics


def measured(dataset: Dataset, objective: Objective, *, compared: bool = True) -> dict[str, Metric]:
    """The unscaled ``loss`` and, where outputs are `compared` with targets, the metrics of
    `metrics_of`, by name."""
    labels = dataset.task == "classification"

    def sums(output: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        loss = objective.loss_value(output, target, weights)
        if weights is None:
            counted = (target != IGNORED).sum() if labels else torch.tensor(target.numel())
        elif labels and isinstance(objective.loss, str):
            labelled = (target != IGNORED).reshape(len(target), -1).sum(1)
            counted = (weights * labelled).sum()
        else:
            counted = weights.sum()
        counted = counted.to(loss)
        # A mean over an empty set is NaN.
        total = torch.where(counted > 0, loss * counted, torch.zeros_like(loss))
        return torch.stack([total, counted])

    return {"loss": Metric(sums, _ratio, weighted=True)} | (metrics_of(dataset) if compared else {})
