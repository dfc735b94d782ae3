"""Three parts of 60, 20 and 20 %, of each class or of whole groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvtrain.data.splits import stratified, whole_groups


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


def test_two_groups_are_too_few():
    with pytest.raises(ValueError, match="2 patients: at least 3 are needed"):
        whole_groups("patients", 2, np.random.default_rng(0))
