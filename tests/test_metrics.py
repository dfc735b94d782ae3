"""Metrics against NumPy."""

import numpy as np
import pytest
import torch

from cvtrain.metrics import METRICS, accuracy, nmse

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


def test_every_task_has_its_metrics():
    assert METRICS["classification"] == {"accuracy": accuracy}
    assert METRICS["regression"] == {"nmse": nmse}
