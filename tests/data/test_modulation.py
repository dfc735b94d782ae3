"""Constellations in noise, and the classifier that no other can beat."""

import math

import numpy as np
import pytest
import torch

from cvtrain.data.modulation import CONSTELLATIONS, maximum_likelihood, modulation

SIZES = {"BPSK": 2, "QPSK": 4, "8PSK": 8, "16QAM": 16, "64QAM": 64}


def draw(**arguments):
    return modulation(**{"dtype": torch.complex128} | arguments)


def nearest(received, points):
    """Indices of the nearest constellation points."""
    return np.abs(received[..., None] - points).argmin(axis=-1)


def right(dataset, formats, snr_db, **options):
    decided = maximum_likelihood(dataset.test.inputs, formats, snr_db, **options)
    return (decided == dataset.test.targets).double().mean().item()


def reference(dataset):
    (known,) = dataset.references
    assert (known.tag, known.name) == ("test/accuracy", "maximum likelihood")
    return known.value


def deviation(share, samples):
    return math.sqrt(share * (1 - share) / samples)


@pytest.mark.parametrize("name", SIZES)
def test_constellations_have_unit_power_distinct_points_and_are_symmetric(name):
    points = CONSTELLATIONS[name]
    assert len(points) == len(np.unique(points.round(9))) == SIZES[name]
    assert np.mean(np.abs(points) ** 2) == pytest.approx(1)
    assert sorted(nearest(-points, points)) == list(range(len(points)))
    np.testing.assert_allclose(-points, points[nearest(-points, points)], atol=1e-12)


def test_psk_has_one_modulus_and_qam_a_square_grid():
    for name in ("BPSK", "QPSK", "8PSK"):
        np.testing.assert_allclose(np.abs(CONSTELLATIONS[name]), 1)
    for name, unit in (("16QAM", math.sqrt(10)), ("64QAM", math.sqrt(42))):
        levels = np.unique((CONSTELLATIONS[name].real * unit).round(9))
        assert levels.tolist() == list(range(1 - len(levels), len(levels), 2))


@pytest.mark.parametrize("index", range(len(SIZES)))
def test_without_noise_a_burst_is_of_equally_likely_points_of_its_constellation(index):
    split = draw(snr_db=100.0).train
    points = CONSTELLATIONS[list(SIZES)[index]]
    received = split.inputs[split.targets == index].numpy()
    symbols = nearest(received, points)
    np.testing.assert_allclose(received, points[symbols], atol=1e-4)
    counts = np.bincount(symbols.ravel(), minlength=len(points))
    expected = symbols.size / len(points)
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    freedom = len(points) - 1
    assert abs(chi_squared - freedom) < 5 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("snr_db", [0.0, 10.0])
def test_noise_is_circular_and_its_power_relative_to_the_unit_power_of_the_symbols(snr_db):
    received = draw(snr_db=snr_db).train.inputs
    # The same draws without noise, by the seed.
    noise = received - draw(snr_db=100.0).train.inputs
    power = noise.abs().square().mean()
    assert -10 * math.log10(power) == pytest.approx(snr_db, abs=0.1)
    assert noise.square().mean().abs() < 0.02 * power
    assert received.abs().square().mean() == pytest.approx(1 + 10 ** (-snr_db / 10), rel=0.01)


def test_a_random_phase_is_uniform_and_one_for_a_burst():
    plain, turned = (draw(snr_db=100.0, random_phase=r).train for r in (False, True))
    rotation = turned.inputs / plain.inputs
    assert torch.equal(plain.targets, turned.targets)
    torch.testing.assert_close(rotation, rotation[:, :1].expand_as(rotation), rtol=0, atol=1e-3)
    for harmonic in (1, 2, 4, 8):
        assert rotation[:, 0].pow(harmonic).mean().abs() < 4 / math.sqrt(len(rotation))


def test_classes_are_balanced_and_named_and_split_60_20_20():
    dataset = draw(formats=("QPSK", "BPSK"), samples_per_format=53, symbols=7)
    assert dataset.class_names == ("QPSK", "BPSK")
    assert dataset.out_features == 2
    for split, of_each in ((dataset.train, 33), (dataset.validation, 10), (dataset.test, 10)):
        assert split.inputs.shape == (2 * of_each, 7)
        assert torch.bincount(split.targets).tolist() == [of_each, of_each]


def test_the_reference_is_the_likelihoods_share_on_the_very_test_split():
    # By the definition, written out once more: Gaussian densities of all points, in NumPy.
    dataset = draw(samples_per_format=200)
    r, variance = dataset.test.inputs.numpy(), 10**-1.0
    scores = [
        np.log(np.exp(-(np.abs(r[..., None] - points) ** 2) / variance).mean(axis=-1)).sum(axis=-1)
        for points in CONSTELLATIONS.values()
    ]
    share = np.mean(np.argmax(scores, axis=0) == dataset.test.targets.numpy())
    assert reference(dataset) == pytest.approx(share, abs=1e-12)
    assert 0.8 < share < 0.95


def test_one_symbol_of_bpsk_or_qpsk_is_told_as_often_as_the_densities_allow():
    # The share of right decisions between densities p and q is ∫ max(p, q)/2.
    variance = 10**-0.5
    axis = np.linspace(-5, 5, 1001)
    plane = axis[:, None] + 1j * axis
    p, q = (
        np.mean(
            [np.exp(-(np.abs(plane - s) ** 2) / variance) for s in CONSTELLATIONS[name]], axis=0
        )
        / (np.pi * variance)
        for name in ("BPSK", "QPSK")
    )
    share = np.maximum(p, q).sum() * (axis[1] - axis[0]) ** 2 / 2
    dataset = draw(formats=("BPSK", "QPSK"), symbols=1, snr_db=5.0, samples_per_format=50_000)
    assert 0.7 < share < 0.8
    assert reference(dataset) == pytest.approx(share, abs=4 * deviation(share, 20_000))


@pytest.mark.parametrize("symbols", [1, 2, 3])
def test_without_noise_8psk_is_missed_only_where_all_its_symbols_are_those_of_bpsk(symbols):
    formats = ("BPSK", "8PSK")
    dataset = draw(formats=formats, symbols=symbols, snr_db=100.0, samples_per_format=20_000)
    share = 1 - (2 / 8) ** symbols / 2
    assert reference(dataset) == pytest.approx(share, abs=4 * deviation(share, 8000))


def test_drowned_in_noise_the_formats_are_guessed():
    dataset = draw(snr_db=-60.0)
    assert reference(dataset) == pytest.approx(0.2, abs=4 * deviation(0.2, 2000))


def test_more_signal_and_more_symbols_tell_more():
    by_snr = [reference(draw(snr_db=snr, samples_per_format=500)) for snr in (-5.0, 5.0, 15.0)]
    by_symbols = [reference(draw(symbols=n, samples_per_format=500)) for n in (4, 16, 64)]
    for shares in (by_snr, by_symbols):
        assert shares[0] + 0.1 < shares[1] < shares[2] - 0.05
    assert by_snr[2] > 0.99


def test_no_threshold_on_the_fourth_power_beats_the_likelihood():
    # |mean r⁴| tells QPSK (modulus 1) from 8PSK (0), a usual statistic; best of all thresholds.
    formats = ("QPSK", "8PSK")
    dataset = draw(formats=formats, symbols=16, snr_db=5.0, samples_per_format=5000)
    statistic = dataset.test.inputs.pow(4).mean(dim=1).abs()
    order = statistic.argsort()
    is_qpsk = (dataset.test.targets == 0)[order].double()
    above = is_qpsk.sum() - is_qpsk.cumsum(0)
    below = (1 - is_qpsk).cumsum(0)
    best = ((above + below) / len(order)).max().item()
    assert 0.6 < best < reference(dataset) - 0.05


def test_with_a_random_phase_there_is_no_reference_and_the_averaged_likelihood_decides():
    small = {"symbols": 16, "samples_per_format": 150, "random_phase": True}
    dataset = draw(**small)
    assert dataset.references == ()
    formats = dataset.class_names
    averaged = right(dataset, formats, 10.0, random_phase=True)
    assert right(dataset, formats, 10.0) + 0.15 < averaged
    # It knows less than one that knows the phase of the same symbols in the same noise.
    assert averaged <= reference(draw(**small | {"random_phase": False})) + 0.02


def test_the_averaged_likelihood_does_not_depend_on_the_phase():
    dataset = draw(symbols=8, samples_per_format=100)
    formats, bursts = dataset.class_names, dataset.test.inputs
    expected = maximum_likelihood(bursts, formats, 10.0, random_phase=True)
    for angle in (0.3, 1.1, 2.7):
        turned = bursts * complex(math.cos(angle), math.sin(angle))
        decided = maximum_likelihood(turned, formats, 10.0, random_phase=True)
        assert torch.equal(decided, expected)


def test_of_one_symbol_with_a_random_phase_psk_formats_look_alike():
    # The average over phases of one symbol's density depends on its modulus alone.
    dataset = draw(formats=("8PSK", "QPSK"), symbols=1, samples_per_format=100)
    by_name = [
        maximum_likelihood(dataset.test.inputs, ("16QAM", name), 10.0, random_phase=True)
        for name in ("8PSK", "QPSK")
    ]
    assert torch.equal(*by_name)
    assert 0 < by_name[0].double().mean() < 1
