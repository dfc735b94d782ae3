"""Complex Gaussian numbers, and three parts of 60, 20 and 20 %, of each class or whole groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvtrain.data.random import complex_gaussian, data_generator, stratified, whole_groups


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 9))
def test_every_sample_is_in_one_part_and_every_class_is_cut_alike(labels, seed):
    labels = np.array(labels)
    parts = stratified(labels, np.random.default_rng(seed))
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
        sizes = [int((labels[part] == label).sum()) for part in parts]
        assert min(sizes) >= 1 or count < 3
        assert sizes[0] >= 1
        assert np.abs(np.array(sizes) - count * np.array([0.6, 0.2, 0.2])).max() <= 1


@given(st.integers(3, 60), st.integers(0, 9))
def test_every_group_is_in_one_part_and_no_part_is_empty(count, seed):
    parts = whole_groups("patients", count, np.random.default_rng(seed))
    assert sorted(np.concatenate(parts)) == list(range(count))
    assert len(parts[1]) == len(parts[2]) == max(1, round(count / 5))
    assert len(parts[0]) >= 1


def test_the_generator_alone_draws_the_parts():
    def drawn(seed):
        generator = np.random.default_rng(seed)
        return [*stratified(np.zeros(50), generator), *whole_groups("patients", 50, generator)]

    same = [np.array_equal(a, b) for a, b in zip(drawn(0), drawn(0), strict=True)]
    other = [np.array_equal(a, b) for a, b in zip(drawn(0), drawn(1), strict=True)]
    assert all(same)
    assert not any(other)


def test_a_class_of_three_is_in_all_parts_whatever_their_shares():
    parts = stratified(np.zeros(3), np.random.default_rng(0), 0.5, 0.45)
    assert [len(part) for part in parts] == [1, 1, 1]


def test_no_samples_are_three_empty_parts():
    parts = stratified(np.zeros(0), np.random.default_rng(0))
    assert [len(part) for part in parts] == [0, 0, 0]


def test_the_least_number_of_groups_follows_from_their_shares():
    with pytest.raises(ValueError, match="4 patients: should be 5 or more"):
        whole_groups("patients", 4, np.random.default_rng(0), 0.45, 0.45)


def test_two_groups_are_too_few():
    with pytest.raises(ValueError, match="2 patients: should be 3 or more"):
        whole_groups("patients", 2, np.random.default_rng(0))


@pytest.mark.parametrize("circularity", [0.0, 0.5, 1.0])
def test_complex_gaussian_has_unit_power_and_the_pseudo_variance_asked_for(circularity):
    u = complex_gaussian(data_generator(0), (200_000,), circularity=circularity)
    assert np.mean(np.abs(u) ** 2) == pytest.approx(1, abs=0.01)
    assert np.mean(u**2) == pytest.approx(circularity, abs=0.01)
    assert abs(np.mean(u)) < 0.01


def test_data_and_batch_order_draw_from_different_streams():
    order = np.random.default_rng((3, 0)).random(4)
    assert order.tolist() == np.random.default_rng(3).random(4).tolist()
    assert order.tolist() != data_generator(3).random(4).tolist()
