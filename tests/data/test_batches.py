import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cvtrain.data import BatchOrder


@st.composite
def orders(draw):
    samples = draw(st.integers(1, 40))
    return samples, draw(st.integers(1, samples)), draw(st.integers(0, 2**70))


def epoch_of(order: BatchOrder, epoch: int) -> list[torch.Tensor]:
    first = epoch * order.steps_per_epoch
    return [order.indices(first + position) for position in range(order.steps_per_epoch)]


@given(orders(), st.integers(0, 10**6))
def test_every_epoch_is_the_permutation_of_its_seed_and_number(arguments, epoch):
    samples, _, seed = arguments
    visited = torch.cat(epoch_of(BatchOrder(*arguments), epoch))
    assert visited.dtype == torch.int64
    assert visited.sort().values.tolist() == list(range(samples))
    expected = np.random.default_rng((seed, epoch)).permutation(samples)
    assert visited.tolist() == expected.tolist()


@given(orders(), st.lists(st.integers(0, 200), max_size=20))
def test_a_batch_depends_on_the_step_alone_whatever_was_asked_before(arguments, steps):
    used = BatchOrder(*arguments)
    for step in steps:
        assert torch.equal(used.indices(step), BatchOrder(*arguments).indices(step))


def test_the_last_batch_of_an_epoch_may_be_partial():
    order = BatchOrder(samples=10, batch_size=4, seed=0)
    assert order.steps_per_epoch == 3
    assert [len(order.indices(step)) for step in range(6)] == [4, 4, 2, 4, 4, 2]


def test_epochs_and_seeds_differ_in_their_order():
    order = BatchOrder(samples=50, batch_size=50, seed=0)
    other = BatchOrder(samples=50, batch_size=50, seed=1)
    assert not torch.equal(order.indices(0), order.indices(1))
    assert not torch.equal(order.indices(0), other.indices(0))


def test_a_full_batch_keeps_the_natural_order():
    order = BatchOrder(samples=5, batch_size=None, seed=3)
    assert order.steps_per_epoch == 1
    assert all(order.indices(step).tolist() == [0, 1, 2, 3, 4] for step in (0, 7))


@pytest.mark.parametrize("batch_size", [None, 4])
def test_writing_to_a_batch_does_not_change_later_ones(batch_size):
    order = BatchOrder(samples=4, batch_size=batch_size, seed=0)
    before = order.indices(0).tolist()
    order.indices(0).zero_()
    assert order.indices(0).tolist() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, None, 0), "samples=0: should be an integer of at least 1"),
        ((10, 0, 0), "batch_size=0: should be an integer from 1 to 10"),
        ((10, 11, 0), "batch_size=11: should be an integer from 1 to 10"),
        ((10, 2.5, 0), "batch_size=2.5: should be an integer from 1 to 10"),
        ((10, 2, -1), "seed=-1: should be an integer of at least 0"),
    ],
)
def test_a_bad_argument_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        BatchOrder(*arguments)


def test_a_negative_step_is_refused():
    with pytest.raises(ValueError, match="step=-1: should be an integer of at least 0"):
        BatchOrder(10, 2, 0).indices(-1)
