"""torchmetrics on what is real of an output: the scores of classes, the moduli of images.

They are measured once, on whole splits, by `python -m cvtrain evaluate`;
`cvtrain.training.metrics` has what is measured while runs train.
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

from cvtrain.data.dataset import IGNORED, Dataset
from cvtrain.training.metrics import scores

SSIM_WINDOW = 11
"""Pixels of torchmetrics' Gaussian window; smaller images have no structural similarity."""


class ModulusMetrics:
    """Collects the pieces of a split.

    A classification has ``macro_f1``, ``cohen_kappa`` and ``jaccard`` (mean over classes) of the
    scores |z|, or z where it is real, and a confusion matrix. A regression onto images has
    ``psnr_db`` and ``ssim`` of |ŷ| against |y|, the mean over samples, each with the largest |y| of
    its sample as range; Wang et al. 2004, Image quality assessment. Others have none.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._labels: MetricCollection | None = None
        self._images: dict[str, MeanMetric] = {}
        if dataset.task == "classification":
            wanted: dict[str, Any] = {
                "num_classes": dataset.out_features,
                "ignore_index": IGNORED,
                "validate_args": False,
            }
            self._labels = MetricCollection(
                {
                    "macro_f1": MulticlassF1Score(**wanted, average="macro"),
                    "cohen_kappa": MulticlassCohenKappa(**wanted),
                    "jaccard": MulticlassJaccardIndex(**wanted, average="macro"),
                    "confusion": MulticlassConfusionMatrix(**wanted),
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
            for found, wanted in zip(output.abs(), target.abs(), strict=True):
                measured = _psnr_db if name == "psnr_db" else _ssim
                mean.update(measured(found, wanted))

    def compute(self) -> dict[str, float]:
        """Of all samples so far."""
        found = {name: float(mean.compute()) for name, mean in self._images.items()}
        if self._labels is not None:
            values = self._labels.compute()
            found |= {name: float(v) for name, v in values.items() if name != "confusion"}
        return found

    def confusion(self) -> Tensor | None:
        """[classes, classes] counts, true classes in rows; None in a regression."""
        if self._labels is None:
            return None
        counts: Tensor = self._labels["confusion"].compute()
        return counts


def _psnr_db(found: Tensor, wanted: Tensor) -> Tensor:
    """10 log₁₀(max|y|² / mean(|ŷ| − |y|)²) of one sample's moduli [out, H, W]."""
    return peak_signal_noise_ratio(found, wanted, data_range=wanted.max().item())


def _ssim(found: Tensor, wanted: Tensor) -> Tensor:
    similarity = structural_similarity_index_measure(
        found.unsqueeze(0), wanted.unsqueeze(0), data_range=wanted.max().item()
    )
    assert isinstance(similarity, torch.Tensor)  # a tuple where the full image is asked for
    return similarity
