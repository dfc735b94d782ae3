"""What runs in lock step keep as their best, each its own."""

from __future__ import annotations

import pytest
import torch

from cvtrain.cli.evaluate import evaluate
from cvtrain.training.validation import BestState
from tests.training.trained_runs import stacked, trained


def at(value: float) -> dict[str, torch.Tensor]:
    return {"w": torch.full((3, 2, 2), complex(value, -value)), "b": torch.full((3,), value)}


def test_each_run_keeps_the_weights_of_its_own_lowest_loss():
    best = BestState(at(0))
    best.consider(0, torch.tensor([2.0, 2.0, float("nan")]), at(0))
    best.consider(10, torch.tensor([1.0, 3.0, float("nan")]), at(1))
    best.consider(20, torch.tensor([1.0, 1.5, 9.0]), at(2))
    assert best.step.tolist() == [10, 20, 20]
    assert best.state["b"].tolist() == [1, 2, 2]
    assert torch.equal(best.state["w"][:, 1, 1], torch.tensor([1 - 1j, 2 - 2j, 2 - 2j]))


def test_what_is_kept_does_not_follow_weights_that_are_updated_in_place():
    weights = at(1)
    best = BestState(weights)
    best.consider(0, torch.ones(3), weights)
    weights["b"].zero_()
    assert best.state["b"].tolist() == [1, 1, 1]


def test_the_best_network_has_the_statistics_of_its_own_step(tmp_path):
    overfits = ("model.normalisation=batch", "optimizer=adam", "optimizer.lr=0.03", "seed=1")
    given = (*overfits, "max_steps=120", "signals.validation_every=20", "dtype=complex128")
    together = stacked(tmp_path, given, (*given, "seed=2"))
    for run in (trained(tmp_path, *given), *together):
        best = run.record.best["val/loss"]
        found = evaluate(run.directory, "validation", "best")
        assert found.step == best["step"] < 120
        assert found.values["loss"] == pytest.approx(best["value"], rel=1e-10)


def test_of_equal_losses_the_first_is_the_best():
    best = BestState(at(0))
    for step, value in ((0, 1.0), (10, 2.0), (20, 3.0)):
        best.consider(step, torch.tensor([1.0, 2.0 - value / 8, 1.0]), at(value))
    assert best.step.tolist() == [0, 20, 0]
    assert best.state["b"].tolist() == [1, 3, 1]
