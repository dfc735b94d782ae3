"""Metrics against NumPy."""

import math

import numpy as np
import pytest
import torch

from cvtrain.data.dataset import IGNORED
from cvtrain.data.digits_fft import digits_fft
from cvtrain.data.equalizer import SYMBOLS, equalizer
from cvtrain.data.system_id import system_id
from cvtrain.gradients.losses import Objective
from cvtrain.training.metrics import (
    RISING,
    Metric,
    Totals,
    accuracy,
    error_vector_magnitude,
    mean_iou,
    measured,
    metrics_of,
    nmse,
    nmse_db,
    symbol_error_rate,
)

DTYPES = pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)


def drawn(seed: int, *shape: int, dtype: torch.dtype = torch.complex128) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@DTYPES
def test_accuracy_is_the_share_of_classes_with_the_largest_modulus(dtype):
    output = drawn(0, 40, 3, dtype=dtype)
    classes = torch.arange(40) % 3
    expected = np.mean(np.abs(output.numpy()).argmax(axis=1) == classes.numpy())
    measured = accuracy(output, classes)
    assert measured.dtype == dtype.to_real()
    assert measured.item() == pytest.approx(expected)
    assert torch.equal(accuracy(-1j * output, classes), measured)


def test_accuracy_of_real_outputs_goes_by_their_value_not_by_their_modulus():
    output, classes = torch.tensor([[-3.0, 1.0], [2.0, -5.0]]), torch.tensor([1, 1])
    assert accuracy(output, classes).item() == 0.5
    assert accuracy(output.to(torch.complex64), classes).item() == 0.5
    assert accuracy(output[:1], classes[:1]).item() == 1
    assert accuracy(output[:1].to(torch.complex64), classes[:1]).item() == 0


@DTYPES
def test_nmse_is_the_error_energy_over_that_of_the_target(dtype):
    output, target = drawn(0, 40, 3, dtype=dtype), drawn(1, 40, 3, dtype=dtype)
    y_hat, y = output.numpy(), target.numpy()
    expected = np.sum(np.abs(y_hat - y) ** 2) / np.sum(np.abs(y) ** 2)
    measured = nmse(output, target)
    assert measured.dtype == dtype.to_real()
    assert measured.item() == pytest.approx(expected, rel=1e-5)


def test_nmse_is_1_for_zeros_0_for_a_perfect_output_and_blind_to_units():
    output, target = drawn(0, 40, 3), drawn(1, 40, 3)
    assert nmse(torch.zeros_like(target), target).item() == 1
    assert nmse(target, target).item() == 0
    assert torch.equal(nmse(4 * output, 4 * target), nmse(output, target))


def test_a_symbol_is_wrong_where_another_one_is_nearer():
    alphabet = torch.from_numpy(SYMBOLS)
    sent = alphabet[torch.arange(400) % 4].reshape(200, 2)
    assert symbol_error_rate(alphabet)(sent + 0.69 * (1 - 1j), sent).item() == 0
    received = sent.clone()
    received[:50, 0] = -received[:50, 0].conj()
    rate = symbol_error_rate(alphabet)(received, sent)
    assert rate.item() == pytest.approx(50 / 400)
    assert rate.dtype == torch.float64


def test_errors_of_symbols_in_noise_are_those_of_theory():
    # Of 4-QAM at ±a ± ai an error is one of two independent signs: 1 − (1 − Q(a/σ))².
    generator = torch.Generator().manual_seed(0)
    alphabet = torch.from_numpy(SYMBOLS)
    sent = alphabet[torch.randint(4, (200_000, 1), generator=generator)]
    noise = torch.randn(sent.shape, dtype=sent.dtype, generator=generator)  # E|ν|² = 1
    tail = 0.5 * math.erfc(0.7 / math.sqrt(0.5) / math.sqrt(2))
    rate = symbol_error_rate(alphabet)(sent + noise, sent).item()
    assert rate == pytest.approx(1 - (1 - tail) ** 2, abs=0.003)


def test_decibels_and_error_vector_magnitude_are_nmse_in_other_units():
    output, target = drawn(0, 40, 3), drawn(1, 40, 3)
    ratio = nmse(output, target).item()
    assert nmse_db(output, target).item() == pytest.approx(10 * math.log10(ratio))
    assert error_vector_magnitude(output, target).item() == pytest.approx(math.sqrt(ratio))
    assert nmse_db(torch.zeros_like(target), target).item() == 0


def labelled(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs [5, 4, 6, 7] of four classes, of which the last is nowhere, and labels [5, 6, 7]."""
    output = drawn(seed, 5, 4, 6, 7)
    output[:, 3] = 0
    labels = torch.arange(5 * 6 * 7).reshape(5, 6, 7) % 3
    labels[:, :2] = IGNORED
    return output, labels


def test_what_has_no_label_does_not_count():
    output, labels = labelled(0)
    seen = labels != IGNORED
    predicted = output.abs().argmax(dim=1)
    expected = (predicted[seen] == labels[seen]).double().mean()
    assert accuracy(output, labels).item() == pytest.approx(expected.item())
    wrong = labels.clone()
    wrong[:, 1:] = IGNORED
    wrong[:, :1] = predicted[:, :1]
    assert accuracy(output, wrong).item() == 1


def test_mean_iou_is_that_of_the_classes_that_occur():
    output, labels = labelled(0)
    seen = (labels != IGNORED).numpy()
    predicted, wanted = output.abs().argmax(dim=1).numpy()[seen], labels.numpy()[seen]
    ratios = [
        np.sum((predicted == c) & (wanted == c)) / np.sum((predicted == c) | (wanted == c))
        for c in range(3)
    ]
    assert mean_iou(output, labels).item() == pytest.approx(np.mean(ratios))
    perfect = torch.nn.functional.one_hot(labels.clamp(min=0), 4).movedim(-1, 1).double()
    assert mean_iou(perfect, labels).item() == 1


def in_pieces(metrics: dict[str, Metric], output, target, size: int) -> dict[str, torch.Tensor]:
    totals = Totals(metrics)
    for piece in zip(output.split(size), target.split(size), strict=True):
        totals.add(*piece)
    return totals.values()


def test_a_split_is_measured_in_whatever_pieces_it_comes():
    images = (*labelled(0), {"accuracy": accuracy, "mean_iou": mean_iou})
    of_numbers = {"nmse": nmse, "nmse_db": nmse_db, "evm": error_vector_magnitude}
    for output, target, metrics in (images, (drawn(0, 40, 3), drawn(1, 40, 3), of_numbers)):
        measured_values = in_pieces(metrics, output, target, 2)
        for name, metric in metrics.items():
            assert measured_values[name].item() == pytest.approx(metric(output, target).item())


def test_networks_side_by_side_have_the_bits_of_each_alone():
    outputs = torch.stack([labelled(seed)[0] for seed in (0, 1, 2)])
    labels = labelled(0)[1]
    metrics = {"accuracy": accuracy, "mean_iou": mean_iou}
    together = Totals(metrics, members=True)
    for piece in zip(outputs.split(7, dim=1), labels.split(7), strict=True):
        together.add(*piece)
    alone = [in_pieces(metrics, output, labels, 7) for output in outputs]
    for name, values in together.values().items():
        assert torch.equal(values, torch.stack([values[name] for values in alone]))


def test_the_loss_of_pieces_is_the_mean_over_what_is_labelled():
    output, labels = labelled(0)
    labels[0] = IGNORED  # a piece without any label
    data = digits_fft(dtype=torch.complex128)
    loss = measured(data, Objective("cross_entropy", scale=0.5))["loss"]
    expected = torch.nn.functional.cross_entropy(output.abs(), labels)
    measured_values = in_pieces({"loss": loss}, output, labels, 1)
    assert measured_values["loss"].item() == pytest.approx(expected.item())


def test_a_perfect_output_has_the_best_of_every_metric():
    symbols = equalizer(dtype=torch.complex64)
    output, labels = labelled(0)
    perfect = torch.nn.functional.one_hot(labels.clamp(min=0), 4).movedim(-1, 1) + 0j
    of_labels = {"accuracy": accuracy, "mean_iou": mean_iou}
    sent = symbols.test.targets
    cases = [
        *((metric, name, perfect, output, labels) for name, metric in of_labels.items()),
        *((m, n, sent, sent.roll(1, 0), sent) for n, m in metrics_of(symbols).items()),
    ]
    for metric, name, best, worse, target in cases:
        assert (metric(best, target) > metric(worse, target)).item() is (name in RISING), name


def test_every_task_has_its_metrics():
    dtype = torch.complex64
    assert metrics_of(digits_fft(dtype=dtype)) == {"accuracy": accuracy}
    assert metrics_of(system_id(dtype=dtype)) == {"nmse": nmse, "nmse_db": nmse_db}
    of_symbols = ["nmse", "nmse_db", "evm", "symbol_error_rate"]
    assert list(metrics_of(equalizer(dtype=dtype))) == of_symbols
