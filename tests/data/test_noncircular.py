"""Two classes of noise that differ in the sign of a correlation, and in nothing else."""

import numpy as np
import pytest
import torch

from cvtrain.data.noncircular import noncircular


def draw(**arguments):
    return noncircular(**{"samples_per_class": 5000, "dtype": torch.complex128} | arguments)


@pytest.fixture(scope="module")
def default():
    return draw()


def by_class(split):
    return [split.inputs[split.targets == label].numpy() for label in (0, 1)]


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_covariances_are_those_of_the_definition(correlation):
    for label, z in enumerate(by_class(draw(correlation=correlation).train)):
        covariance = np.cov(z.real.ravel(), z.imag.ravel())
        sign = 1 - 2 * label
        expected = [[1, sign * correlation], [sign * correlation, 1]]
        np.testing.assert_allclose(covariance, expected, atol=0.01)
        assert abs(np.mean(z**2) - 2j * sign * correlation) < 0.01
        assert abs(z.mean()) < 0.005


def test_entries_of_a_vector_are_independent():
    (first, _) = by_class(draw(length=4).train)
    for product in (first.T @ first, first.T @ first.conj()):
        apart = product / len(first) - np.diag(np.diag(product / len(first)))
        assert np.abs(apart).max() < 0.08


def test_the_sign_of_the_summed_products_tells_the_classes_apart(default):
    test = default.test
    decided = (test.inputs.real * test.inputs.imag).sum(dim=1) < 0
    assert torch.equal(decided.long(), test.targets)


def test_nothing_else_does(default):
    moduli = [np.sort(np.abs(z).ravel()) for z in by_class(default.train)]
    quantiles = [np.quantile(z, np.linspace(0.01, 0.99, 25)) for z in moduli]
    np.testing.assert_allclose(quantiles[0], quantiles[1], rtol=0.01)


def test_sizes_and_balance():
    dataset = draw(samples_per_class=53, length=7)
    sizes = [len(split) for split in (dataset.train, dataset.validation, dataset.test)]
    assert sizes == [66, 20, 20]
    for split in (dataset.train, dataset.validation, dataset.test):
        assert 2 * int(split.targets.sum()) == len(split)
