import math
from itertools import combinations_with_replacement

import pytest
import torch

from cvtrain.data.equalizer import equalizer


def draw(**arguments):
    return equalizer(**{"dtype": torch.complex128} | arguments)


def channel(symbols):
    """The noiseless channel, written out: symbols as rows sₙ, sₙ₋₁, sₙ₋₂."""
    o = symbols @ torch.tensor([0.34 - 0.27j, 0.87 + 0.43j, 0.34 - 0.21j], dtype=torch.complex128)
    return o + 0.1 * o**2 + 0.05 * o**3


def symbols_sent(**arguments):
    """Rows sₙ, sₙ₋₁, sₙ₋₂ of the training split: changing the delay keeps the draws."""
    return torch.cat([draw(delay=delay, **arguments).train.targets for delay in range(3)], dim=1)


def monomials(x, order):
    """All monomials of the columns of x up to an order, the constant included."""
    columns = range(x.shape[1])
    factors = [c for k in range(order + 1) for c in combinations_with_replacement(columns, k)]
    return torch.stack([x[:, list(factor)].prod(1) for factor in factors], dim=1)


def test_without_noise_the_inputs_are_what_the_channel_makes_of_the_symbols():
    x = draw(snr_db=300.0).train.inputs
    torch.testing.assert_close(x[:, 0], channel(symbols_sent(snr_db=300.0)), rtol=0, atol=1e-12)


def test_inputs_are_consecutive_received_values_newest_first():
    x = draw().train.inputs
    assert torch.equal(x[1:, 1:], x[:-1, :-1])


@pytest.mark.parametrize("snr_db", [0.0, 20.0])
def test_noise_is_circular_and_its_power_relative_to_the_distorted_signal(snr_db):
    size = {"train_samples": 50_000, "snr_db": snr_db}
    signal = channel(symbols_sent(**size))
    noise = draw(**size).train.inputs[:, 0] - signal
    ratio = signal.abs().square().mean() / noise.abs().square().mean()
    assert 10 * math.log10(ratio) == pytest.approx(snr_db, abs=0.1)
    assert noise.square().mean().abs() < 0.02 * noise.abs().square().mean()


def test_targets_are_equally_likely_qam_symbols():
    symbols, counts = torch.unique(
        torch.view_as_real(draw().train.targets[:, 0]), dim=0, return_counts=True
    )
    assert symbols.tolist() == [[-0.7, -0.7], [-0.7, 0.7], [0.7, -0.7], [0.7, 0.7]]
    assert (counts / counts.sum() - 0.25).abs().max() < 0.02


@pytest.mark.parametrize(
    ("delay", "order", "conjugates", "error"),
    [(1, 1, False, 0.167), (1, 3, True, 0.048), (2, 1, False, 0.074)],
)
def test_least_squares_reaches_the_known_test_error(delay, order, conjugates, error):
    dataset = draw(delay=delay)
    x, z = dataset.train.inputs, dataset.test.inputs
    if conjugates:
        x, z = torch.cat([x, x.conj()], dim=1), torch.cat([z, z.conj()], dim=1)
    weights = torch.linalg.lstsq(monomials(x, order), dataset.train.targets).solution
    residual = monomials(z, order) @ weights - dataset.test.targets
    assert residual.abs().square().mean().item() == pytest.approx(error, rel=0.05)


@pytest.mark.parametrize("taps", [1, 2, 5])
def test_sizes_are_as_asked_at_every_delay(taps):
    for delay in range(taps + 2):
        sizes = {"train_samples": 1, "validation_samples": 2, "test_samples": 3}
        dataset = draw(taps=taps, delay=delay, **sizes)
        assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (1, 2, 3)
        assert dataset.in_features == taps
