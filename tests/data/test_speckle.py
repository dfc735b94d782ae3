"""Speckle of four classes on a patchwork, and what a pixel by itself can tell."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from cvtrain.data.speckle import COVARIANCES, maximum_likelihood, speckle

CLASSES = tuple(COVARIANCES)


def draw(**arguments):
    return speckle(**{"dtype": torch.complex128} | arguments)


@pytest.fixture(scope="module")
def default():
    return draw()


def pixels(split, label):
    """k [n, 3] of one class."""
    return split.inputs.movedim(1, -1)[split.targets == label].numpy()


def reference(dataset):
    (known,) = dataset.references
    assert (known.tag, known.name) == ("test/accuracy", "maximum likelihood, each pixel by itself")
    return known.value


def below(weights, t):
    """P(Σ wᵢEᵢ < t) of independent standard exponential E and distinct weights, of either sign."""

    def tail(w):
        return math.prod(w / (w - v) for v in weights if v != w) * math.exp(-t / w)

    if t < 0:
        return sum(tail(w) for w in weights if w < 0)
    return 1 - sum(tail(w) for w in weights if w > 0)


@pytest.mark.parametrize("name", CLASSES)
def test_covariances_are_hermitian_positive_definite_and_of_the_stated_power(name):
    covariance = COVARIANCES[name]
    assert np.array_equal(covariance, covariance.conj().T)
    assert np.linalg.eigvalsh(covariance).min() > 0.01
    assert np.trace(covariance) == pytest.approx(0.5 if name == "water" else 1)


def test_soil_and_buildings_differ_in_the_phase_of_hh_to_vv_alone():
    soil, buildings = COVARIANCES["soil"], COVARIANCES["buildings"]
    np.testing.assert_allclose(np.abs(soil), np.abs(buildings))
    apart = np.angle(buildings) - np.angle(soil)
    turn = math.radians(160)
    np.testing.assert_allclose(apart, [[0, 0, turn], [0, 0, 0], [-turn, 0, 0]], atol=1e-12)


@pytest.mark.parametrize("label", range(len(CLASSES)))
def test_pixels_of_a_class_have_its_covariance_no_mean_and_are_circular(default, label):
    k = pixels(default.train, label)
    expected = COVARIANCES[CLASSES[label]]
    # The standard deviation of an entry of the sample covariance is √(Σᵢᵢ Σⱼⱼ/n).
    power = np.sqrt(np.real(np.diag(expected)))
    bound = 5 * np.outer(power, power) / math.sqrt(len(k))
    assert len(k) > 50_000
    assert (np.abs(k.T @ k.conj() / len(k) - expected) < bound).all()
    assert (np.abs(k.T @ k / len(k)) < math.sqrt(2) * bound).all()
    assert (np.abs(k.mean(axis=0)) < 5 * power / math.sqrt(len(k))).all()


def test_intensities_are_exponential_as_in_fully_developed_speckle(default):
    intensity = np.abs(pixels(default.train, 1)[:, 0]) ** 2 / 0.45
    for level in (0.1, 0.5, 1.0, 2.0, 4.0):
        assert np.mean(intensity > level) == pytest.approx(math.exp(-level), abs=0.01)


def test_speckle_of_neighbours_is_independent():
    scenes = draw(regions=1).train
    water = scenes.inputs[scenes.targets[:, 0, 0] == 0]
    for neighbour in (torch.roll(water, 1, dims=2), torch.roll(water, 1, dims=3)):
        correlation = (water * neighbour.conj()).mean(dim=(0, 2, 3)).abs()
        assert (correlation < 0.02 * water.abs().square().mean(dim=(0, 2, 3))).all()


def test_regions_are_few_whole_and_of_all_classes_alike(default):
    labels = draw(regions=1).train.targets.flatten(1)
    assert torch.equal(labels, labels[:, :1].expand_as(labels))
    of_each = torch.bincount(labels[:, 0], minlength=4)
    assert (of_each - 75).abs().max() < 5 * math.sqrt(300 * 0.25 * 0.75)
    # Neighbours are of one region, or of one class by chance (1/4); along a border they need not.
    targets = default.train.targets
    alike = (targets[:, 1:] == targets[:, :-1]).double().mean().item()
    assert 0.85 < alike < 0.97


def test_a_cell_is_convex_so_that_no_line_of_pixels_meets_it_twice():
    # With two points of two classes the border is straight: along a line the class changes once.
    targets = draw(classes=CLASSES[:2], regions=2).train.targets
    for axis in (1, 2):
        assert (targets.diff(dim=axis) != 0).sum(dim=axis).max() == 1


def test_more_regions_are_smaller():
    shares = []
    for regions in (2, 8, 32):
        targets = draw(regions=regions, train_samples=1, size=16).test.targets
        shares.append((targets[:, 1:] != targets[:, :-1]).double().mean().item())
    assert shares == sorted(shares)


def test_sizes_and_names():
    dataset = draw(
        classes=("forest", "water"), size=6, train_samples=5, validation_samples=3, test_samples=2
    )
    assert dataset.class_names == ("forest", "water")
    assert dataset.out_features == 2
    for split, count in ((dataset.train, 5), (dataset.validation, 3), (dataset.test, 2)):
        assert split.inputs.shape == (count, 3, 6, 6)
        assert split.targets.shape == (count, 6, 6)


def test_the_reference_is_the_likelihoods_share_on_the_very_test_split(default):
    # A circular k of covariance Σ is a real vector of twice the length, with the covariance
    # ½ [[Re Σ, −Im Σ], [Im Σ, Re Σ]].
    test = default.test
    k = test.inputs.movedim(1, -1).numpy()
    coordinates = np.concatenate([k.real, k.imag], axis=-1)
    densities = [
        multivariate_normal(cov=np.block([[c.real, -c.imag], [c.imag, c.real]]) / 2).pdf(
            coordinates
        )
        for c in COVARIANCES.values()
    ]
    share = np.mean(np.argmax(densities, axis=0) == test.targets.numpy())
    assert reference(default) == pytest.approx(share, abs=1e-12)
    assert 0.6 < share < 0.72


@pytest.mark.parametrize("pair", list(combinations(CLASSES, 2)))
def test_two_classes_are_told_as_often_as_the_densities_allow(pair):
    # With Σ₀ = LLᴴ and the eigenvalues λ of L⁻¹Σ₁L⁻ᴴ, what decides for class 1 is a sum of
    # exponentials: kᴴ(Σ₀⁻¹ − Σ₁⁻¹)k = Σ (1 − 1/λᵢ)Eᵢ in class 0, Σ (λᵢ − 1)Eᵢ in class 1,
    # above log det Σ₁ − log det Σ₀ = Σ log λᵢ.
    first, second = (COVARIANCES[name] for name in pair)
    whitening = np.linalg.inv(np.linalg.cholesky(first))
    ratios = np.linalg.eigvalsh(whitening @ second @ whitening.conj().T)
    # Where Σ₀ and Σ₁ agree in a direction, it tells nothing.
    ratios = ratios[np.abs(ratios - 1) > 1e-9]
    threshold = np.log(ratios).sum()
    share = (below(1 - 1 / ratios, threshold) + 1 - below(ratios - 1, threshold)) / 2
    # Of both classes alike, whatever the shares of their regions.
    test = draw(classes=pair, size=16, test_samples=400, train_samples=1).test
    right = (maximum_likelihood(test.inputs, pair) == test.targets).double()
    of_each = [right[test.targets == label].mean().item() for label in (0, 1)]
    assert np.mean(of_each) == pytest.approx(share, abs=2 / math.sqrt(right.numel()))


def test_two_classes_of_one_diagonal_are_told_by_the_phase_of_hh_to_vv():
    # The moduli of soil and buildings are distributed alike: only the phase tells.
    names = ("soil", "buildings")
    dataset = draw(classes=names)
    moduli = [np.quantile(np.abs(pixels(dataset.train, c)), [0.1, 0.5, 0.9]) for c in (0, 1)]
    np.testing.assert_allclose(*moduli, rtol=0.01)
    assert reference(dataset) > 0.75
    scrambled = dataset.test.inputs * torch.tensor([1, 1, 1j]).reshape(3, 1, 1)
    decided = maximum_likelihood(scrambled, names)
    assert (decided == dataset.test.targets).double().mean().item() < 0.7


def test_a_pixel_is_decided_by_itself_and_whatever_its_phase():
    inputs = draw(test_samples=3).test.inputs
    decided = maximum_likelihood(inputs, CLASSES)
    turned = inputs * complex(math.cos(1), math.sin(1))
    assert torch.equal(maximum_likelihood(turned, CLASSES), decided)
    upside_down = maximum_likelihood(inputs.flip(2), CLASSES)
    assert torch.equal(upside_down, decided.flip(1))


def test_neighbours_tell_what_a_pixel_alone_does_not():
    # A vote of all pixels of a scene of one region.
    dataset = draw(regions=1, size=8)
    test = dataset.test
    votes = torch.nn.functional.one_hot(maximum_likelihood(test.inputs, CLASSES), 4).sum((1, 2))
    by_vote = (votes.argmax(dim=1) == test.targets[:, 0, 0]).double().mean().item()
    assert by_vote > reference(dataset) + 0.25
