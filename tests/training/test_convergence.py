"""Numbers on how fast runs in lock step got where they got, from histories made by hand."""

from __future__ import annotations

import math

import pytest
import torch

from cvtrain.config.sections import GoalConfig
from cvtrain.training.convergence import Convergence

METRICS = {"loss": False, "accuracy": True}
ALIVE = torch.zeros(2, dtype=torch.bool)


def observed(steps, losses, accuracies, goal=None, max_steps=40):
    """Two runs with these histories."""
    convergence = Convergence(goal or GoalConfig(), "classification", METRICS, max_steps)
    for step, loss, accuracy in zip(steps, losses, accuracies, strict=True):
        convergence.observe(step, {"loss": torch.tensor(loss), "accuracy": torch.tensor(accuracy)})
    return convergence


STEPS = (0, 10, 20, 25)
LOSSES = ([2.0, 4.0], [1.0, 3.0], [0.5, 1.0], [0.75, 2.0])
ACCURACIES = ([0.1, 0.2], [0.9, 0.94], [0.95, 0.9], [0.93, 0.9])


def test_the_mean_loss_on_the_way_is_the_area_of_trapezoids_over_the_steps_made():
    measured = observed(STEPS, LOSSES, ACCURACIES).signals(ALIVE)["convergence/loss_auc"]
    areas = (15 + 7.5 + 3.125, 35 + 20 + 7.5)
    assert measured.tolist() == pytest.approx([area / 25 for area in areas])
    begun = observed((0,), LOSSES[:1], ACCURACIES[:1]).signals(ALIVE)["convergence/loss_auc"]
    assert begun.tolist() == [2.0, 4.0]


def test_a_run_that_diverged_has_an_infinite_mean_loss():
    diverged = torch.tensor([False, True])
    measured = observed(STEPS, LOSSES, ACCURACIES).signals(diverged)["convergence/loss_auc"]
    assert measured.tolist() == [pytest.approx(1.025), math.inf]


def test_a_run_arrives_at_the_first_validation_that_reaches_the_goal_exactly_or_better():
    def steps(goal=None, accuracies=ACCURACIES):
        made = observed(STEPS, LOSSES, accuracies, goal)
        return made.signals(ALIVE)["convergence/steps_to_target"].tolist()

    assert steps(GoalConfig(metric="val/loss", value=1.0)) == [10, 20]
    assert steps(GoalConfig(metric="loss", value=0.5)) == [20, math.inf]
    assert steps(GoalConfig(metric="accuracy", value=0.5)) == [10, 10]
    halves = ([0.25, 0.25], [0.5, 0.25], [0.75, 0.5], [0.75, 0.75])
    assert steps(GoalConfig(metric="accuracy", value=0.75), halves) == [20, 25]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_nineteen_of_twenty_are_95_percent_in_any_precision(dtype):
    convergence = Convergence(GoalConfig(), "classification", METRICS, 40)
    for step, right in ((0, 18), (10, 19)):
        accuracy = torch.tensor([right, 18], dtype=dtype) / 20
        convergence.observe(step, {"loss": torch.ones(2, dtype=dtype), "accuracy": accuracy})
    assert convergence.signals(ALIVE)["convergence/steps_to_target"].tolist() == [10, math.inf]


def test_quarter_values_are_of_the_first_validation_from_a_quarter_of_the_planned_steps_on():
    def quarter(max_steps):
        measured = observed(STEPS, LOSSES, ACCURACIES, max_steps=max_steps).signals(ALIVE)
        assert measured["convergence/initial/loss"].tolist() == [2.0, 4.0]
        return measured["convergence/quarter/loss"].tolist()

    assert quarter(40) == [1.0, 3.0]
    assert quarter(44) == [0.5, 1.0]
    assert quarter(0) == [2.0, 4.0]
    assert all(map(math.isnan, quarter(104)))


def test_the_best_is_the_largest_accuracy_and_the_smallest_loss_at_its_first_step():
    losses = (*LOSSES[:3], [0.5, math.nan])
    best = observed(STEPS, losses, ACCURACIES).best()
    values, steps = best["accuracy"]
    assert values.tolist() == pytest.approx([0.95, 0.94])
    assert steps.tolist() == [20, 10]
    values, steps = best["loss"]
    assert values.tolist() == [0.5, 1.0]
    assert steps.tolist() == [20, 20]


def test_one_validation_more_in_a_copy_leaves_the_others_out():
    convergence = observed(STEPS[:2], LOSSES[:2], ACCURACIES[:2])
    more = {"loss": torch.tensor([0.25, 0.25]), "accuracy": torch.tensor([1.0, 1.0])}
    later = convergence.snapshot()
    later.observe(20, more)
    assert later.best()["loss"][0].tolist() == [0.25, 0.25]
    assert convergence.best()["loss"][0].tolist() == [1.0, 3.0]


def test_histories_go_on_from_what_each_run_had():
    whole = observed(STEPS, LOSSES, ACCURACIES)
    begun = observed(STEPS[:2], LOSSES[:2], ACCURACIES[:2])
    gone_on = Convergence(GoalConfig(), "classification", METRICS, 40)
    gone_on.load_state_dict([begun.state_dict(run) for run in range(2)], torch.device("cpu"))
    for index in (2, 3):
        values = {"loss": LOSSES[index], "accuracy": ACCURACIES[index]}
        gone_on.observe(STEPS[index], {n: torch.tensor(v) for n, v in values.items()})
    for tag, measured in gone_on.signals(ALIVE).items():
        assert torch.equal(measured, whole.signals(ALIVE)[tag]), tag
