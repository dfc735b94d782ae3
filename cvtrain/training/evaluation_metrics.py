"""Metrics of torchmetrics that `cvtrain evaluate` measures on whole splits.

They take real numbers: the scores of classes, or the moduli of images. `cvtrain.training.metrics`
has the metrics that are measured during training.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import (
    MulticlassCohenKappa,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassJaccardIndex,
)
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from cvtrain.data.dataset import Dataset
from cvtrain.gradients.losses import IGNORED
from cvtrain.training.metrics import scores

SSIM_WINDOW = 11
"""Width in pixels of torchmetrics' Gaussian window; smaller images have no ``ssim``."""


class ModulusMetrics:
    """Accumulates metrics over the pieces of a split.

    Classification: ``macro_f1``, ``cohen_kappa`` and ``jaccard`` (mean over classes) of the scores
    |z|, or z of real outputs, and a confusion matrix. Regression onto images: means over samples of
    ``psnr_db`` and ``ssim`` of |ŷ| against |y|, with the largest |y| of each sample as range (Wang
    et al. 2004, Image quality assessment). Other data sets have no metrics here.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._labels: MetricCollection | None = None
        self._images: dict[str, MeanMetric] = {}
        if dataset.task == "classification":
            arguments: dict[str, Any] = {
                "num_classes": dataset.out_features,
                "ignore_index": IGNORED,
                "validate_args": False,
            }
            self._labels = MetricCollection(
                {
                    "macro_f1": MulticlassF1Score(**arguments, average="macro"),
                    "cohen_kappa": MulticlassCohenKappa(**arguments),
                    "jaccard": MulticlassJaccardIndex(**arguments, average="macro"),
                    "confusion": MulticlassConfusionMatrix(**arguments),
                },
                compute_groups=False,
            )
        elif len(dataset.positions) == 2:
            self._images = {"psnr_db": MeanMetric()}
            if min(dataset.positions) >= SSIM_WINDOW:
                self._images["ssim"] = MeanMetric()

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add samples: outputs [N, out, …] and their targets."""
        if self._labels is not None:
            self._labels.update(scores(output), target)
        for name, mean in self._images.items():
            metric = _psnr_db if name == "psnr_db" else _ssim
            for y_hat, y in zip(output.abs(), target.abs(), strict=True):
                mean.update(metric(y_hat, y))

    def compute(self) -> dict[str, float]:
        """The metrics of all samples so far, by name, without the confusion matrix."""
        values = {name: float(mean.compute()) for name, mean in self._images.items()}
        if self._labels is not None:
            computed = self._labels.compute()
            values |= {name: float(v) for name, v in computed.items() if name != "confusion"}
        return values

    def confusion(self) -> Tensor | None:
        """Counts [classes, classes], int64, true classes in rows; None for a regression."""
        if self._labels is None:
            return None
        counts: Tensor = self._labels["confusion"].compute()
        return counts


def _psnr_db(y_hat: Tensor, y: Tensor) -> Tensor:
    """10 log₁₀(max|y|² / mean(|ŷ| − |y|)²) of one sample's moduli [out, H, W]."""
    return peak_signal_noise_ratio(y_hat, y, data_range=y.max().item())


def _ssim(y_hat: Tensor, y: Tensor) -> Tensor:
    similarity = structural_similarity_index_measure(
        y_hat.unsqueeze(0), y.unsqueeze(0), data_range=y.max().item()
    )
    assert isinstance(similarity, torch.Tensor)  # a tuple only with return_full_image
    return similarity
