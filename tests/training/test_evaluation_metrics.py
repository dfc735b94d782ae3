"""torchmetrics on moduli, against scikit-learn and formulas."""

import math

import pytest
import torch
from sklearn.metrics import cohen_kappa_score, confusion_matrix, f1_score, jaccard_score

from cvtrain.data.dataset import IGNORED, Dataset
from cvtrain.data.split import Split
from cvtrain.training.evaluation_metrics import ModulusMetrics

COMPLEX = torch.complex128


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=COMPLEX, generator=torch.Generator().manual_seed(seed))


def data(targets: torch.Tensor, task: str, out_features: int) -> Dataset:
    split = Split(drawn(9, len(targets), 1, *targets.shape[-2:]), targets)
    return Dataset(train=split, validation=split, test=split, task=task, out_features=out_features)


def collected(of: Dataset, output: torch.Tensor) -> ModulusMetrics:
    metrics = ModulusMetrics(of)
    targets = of.test.targets
    for piece in zip(output.split(2), targets.split(2), strict=True):
        metrics.update(*piece)
    return metrics


def test_labels_are_scored_as_scikit_learn_scores_moduli():
    labels = torch.arange(5 * 6 * 7).reshape(5, 6, 7) % 3
    labels[:, 0] = IGNORED
    output = drawn(0, 5, 3, 6, 7)
    metrics = collected(data(labels, "classification", 3), output)
    seen = labels != IGNORED
    pair = labels[seen].numpy(), output.abs().argmax(dim=1)[seen].numpy()
    assert metrics.compute() == pytest.approx(
        {
            "macro_f1": f1_score(*pair, average="macro"),
            "cohen_kappa": cohen_kappa_score(*pair),
            "jaccard": jaccard_score(*pair, average="macro"),
        },
        rel=1e-5,
    )
    confusion = metrics.confusion()
    assert confusion is not None
    assert confusion.tolist() == confusion_matrix(*pair).tolist()


def test_images_are_compared_by_their_moduli():
    images = drawn(1, 5, 1, 16, 16)
    of = data(images, "regression", 1)
    turned = collected(of, images * 1j).compute()
    assert turned["ssim"] == pytest.approx(1)
    louder = collected(of, images * 1.25).compute()
    assert louder["ssim"] < 1
    ratios = [y.abs().max().item() ** 2 / (0.25 * y.abs()).square().mean().item() for y in images]
    expected = sum(10 * math.log10(ratio) for ratio in ratios) / len(ratios)
    assert louder["psnr_db"] == pytest.approx(expected, rel=1e-5)
    assert collected(of, images).confusion() is None


def test_small_images_have_no_structural_similarity_and_numbers_have_neither():
    small = drawn(1, 5, 1, 8, 8)
    assert set(collected(data(small, "regression", 1), small * 2).compute()) == {"psnr_db"}
    numbers = drawn(1, 5, 2)
    split = Split(drawn(2, 5, 3), numbers)
    of = Dataset(train=split, validation=split, test=split, task="regression", out_features=2)
    assert collected(of, numbers).compute() == {}
