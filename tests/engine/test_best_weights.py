"""The best weights of runs in lock step, each its own."""

from __future__ import annotations

import torch

from cvtrain.engine.best_weights import BestWeights


def at(value: float) -> dict[str, torch.Tensor]:
    return {"w": torch.full((3, 2, 2), complex(value, -value)), "b": torch.full((3,), value)}


def test_each_run_keeps_the_weights_of_its_own_lowest_loss():
    best = BestWeights(at(0))
    best.consider(0, torch.tensor([2.0, 2.0, float("nan")]), at(0))
    best.consider(10, torch.tensor([1.0, 3.0, float("nan")]), at(1))
    best.consider(20, torch.tensor([1.0, 1.5, 9.0]), at(2))
    assert best.step.tolist() == [10, 20, 20]
    assert best.weights["b"].tolist() == [1, 2, 2]
    assert torch.equal(best.weights["w"][:, 1, 1], torch.tensor([1 - 1j, 2 - 2j, 2 - 2j]))


def test_what_is_kept_does_not_follow_weights_that_are_updated_in_place():
    weights = at(1)
    best = BestWeights(weights)
    best.consider(0, torch.ones(3), weights)
    weights["b"].zero_()
    assert best.weights["b"].tolist() == [1, 1, 1]
