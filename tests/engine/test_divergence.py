"""What counts as diverged, for runs in lock step."""

from __future__ import annotations

import pytest
import torch

from cvtrain.engine.divergence import EXPLOSION, DivergenceLatch

K = 3


def latch_and_weights(dtype=torch.complex64):
    weights = torch.ones(K, 2, 2, dtype=dtype)
    return DivergenceLatch([weights, torch.ones(K, 5)]), weights


@pytest.mark.parametrize("bad", [complex("nan"), complex(0, float("inf")), complex("-inf")])
def test_one_bad_entry_of_weights_or_gradient_is_enough_and_touches_no_neighbour(bad):
    losses = torch.ones(K)
    latch, weights = latch_and_weights()
    gradient = torch.ones(K, 4, dtype=torch.complex64)
    assert latch.newly_diverged(losses, [gradient]) == []
    gradient[1, 2] = bad
    assert latch.newly_diverged(losses, [gradient]) == [1]
    weights[2, 0, 1] = bad
    assert latch.newly_diverged(losses, [torch.ones(K, 4)]) == [2]


def test_a_run_diverges_once():
    latch, weights = latch_and_weights()
    weights[0] = float("nan")
    assert latch.newly_diverged(torch.ones(K), [weights]) == [0]
    assert latch.newly_diverged(torch.ones(K), [weights]) == []


def test_infinities_of_opposite_signs_do_not_cancel():
    latch, weights = latch_and_weights()
    weights[1, 0, 0], weights[1, 1, 1] = float("inf"), float("-inf")
    assert latch.newly_diverged(torch.ones(K), [torch.ones(K, 2)]) == [1]


def test_a_loss_is_bounded_by_a_million_times_the_first_one():
    latch, _ = latch_and_weights()
    gradient = torch.ones(K, 2)
    first = torch.tensor([1.0, 1e-3, 0.0])
    assert latch.newly_diverged(first, [gradient]) == []
    assert latch.newly_diverged(EXPLOSION * first, [gradient]) == []
    assert latch.newly_diverged(torch.tensor([2e6, 1e3, 0.0]), [gradient]) == [0]
    assert latch.newly_diverged(torch.tensor([1.0, float("nan"), 1e-30]), [gradient]) == [1, 2]


def test_a_negative_loss_is_bounded_by_its_size():
    latch, _ = latch_and_weights()
    gradient = torch.ones(K, 2)
    assert latch.newly_diverged(torch.full((K,), -2.0), [gradient]) == []
    assert latch.newly_diverged(torch.full((K,), -3.0), [gradient]) == []
