import math

import pytest
import torch

from cvtrain.data.system_id import system_id

TAPS = 4


def draw(**arguments):
    return system_id(**{"samples": 100_000, "taps": TAPS, "dtype": torch.complex128} | arguments)


def moments(x):
    """Sample covariance E[x xᴴ] and pseudo-covariance E[x xᵀ] of rows x."""
    return x.T @ x.conj() / len(x), x.T @ x / len(x)


@pytest.mark.parametrize("condition_number", [1.0, 10.0, 100.0])
def test_the_covariance_has_log_spaced_eigenvalues_of_mean_one(condition_number):
    covariance, _ = moments(draw(condition_number=condition_number).train.inputs)
    expected = torch.logspace(0, math.log10(condition_number), TAPS, dtype=torch.float64)
    expected /= expected.mean()
    torch.testing.assert_close(torch.linalg.eigvalsh(covariance), expected, rtol=0.03, atol=0)


@pytest.mark.parametrize("circularity", [0.0, 0.5, 1.0])
def test_every_principal_component_has_the_circularity_asked_for(circularity):
    covariance, pseudo = moments(draw(circularity=circularity).train.inputs)
    inverse_root = torch.linalg.inv(torch.linalg.cholesky(covariance))
    coefficients = torch.linalg.svdvals(inverse_root @ pseudo @ inverse_root.T)
    expected = torch.full((TAPS,), circularity, dtype=torch.float64)
    torch.testing.assert_close(coefficients, expected, rtol=0, atol=0.02)


def test_no_single_tap_is_less_circular_than_the_principal_components():
    covariance, pseudo = moments(draw(circularity=0.8).train.inputs)
    assert (pseudo.diagonal().abs() / covariance.diagonal().real).max() < 0.82


def test_the_weights_have_unit_norm_and_the_residual_is_circular_noise():
    dataset = draw(noise=0.3)
    weight = dataset.solution["weight"]
    model = torch.nn.Linear(TAPS, 1, bias=False, dtype=torch.complex128)
    assert weight.shape == model.weight.shape
    assert weight.norm().item() == pytest.approx(1)
    residual = dataset.train.targets - dataset.train.inputs @ weight.T
    assert residual.abs().square().mean().sqrt().item() == pytest.approx(0.3, rel=0.02)
    assert residual.square().mean().abs().item() < 0.02 * 0.3**2


def test_without_noise_least_squares_recovers_the_weights():
    dataset = draw(noise=0.0, samples=100)
    fit = torch.linalg.lstsq(dataset.train.inputs, dataset.train.targets).solution
    torch.testing.assert_close(fit.T, dataset.solution["weight"], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("samples", "sizes"), [(5, (3, 1, 1)), (104, (64, 20, 20)), (5000, (3000, 1000, 1000))]
)
def test_the_splits_take_sixty_twenty_and_twenty_percent(samples, sizes):
    dataset = draw(samples=samples)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == sizes


def test_a_single_tap_needs_equal_eigenvalues():
    assert draw(taps=1, condition_number=1.0).in_features == 1
    with pytest.raises(ValueError, match=r"condition_number=10\.0: should be 1 where taps=1"):
        draw(taps=1)
