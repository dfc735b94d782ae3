"""Metrics against NumPy."""

import math

import numpy as np
import pytest
import torch

from cvtrain.data.digits_fft import digits_fft
from cvtrain.data.equalizer import SYMBOLS, equalizer
from cvtrain.data.system_id import system_id
from cvtrain.metrics import accuracy, metrics_of, nmse, symbol_error_rate

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
    assert symbol_error_rate(sent + 0.69 * (1 - 1j), sent, alphabet).item() == 0
    received = sent.clone()
    received[:50, 0] = -received[:50, 0].conj()
    rate = symbol_error_rate(received, sent, alphabet)
    assert rate.item() == pytest.approx(50 / 400)
    assert rate.dtype == torch.float64


def test_errors_of_symbols_in_noise_are_those_of_theory():
    # Of 4-QAM at ±a ± ai an error is one of two independent signs: 1 − (1 − Q(a/σ))².
    generator = torch.Generator().manual_seed(0)
    alphabet = torch.from_numpy(SYMBOLS)
    sent = alphabet[torch.randint(4, (200_000, 1), generator=generator)]
    noise = torch.randn(sent.shape, dtype=sent.dtype, generator=generator)  # E|ν|² = 1
    tail = 0.5 * math.erfc(0.7 / math.sqrt(0.5) / math.sqrt(2))
    rate = symbol_error_rate(sent + noise, sent, alphabet).item()
    assert rate == pytest.approx(1 - (1 - tail) ** 2, abs=0.003)


def test_every_task_has_its_metrics():
    dtype = torch.complex64
    assert metrics_of(digits_fft(dtype=dtype)) == {"accuracy": accuracy}
    assert metrics_of(system_id(dtype=dtype)) == {"nmse": nmse}
    assert list(metrics_of(equalizer(dtype=dtype))) == ["nmse", "symbol_error_rate"]
