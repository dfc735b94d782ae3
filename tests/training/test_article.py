"""The one-sample problem of the article that asks the question: exact values."""

from __future__ import annotations

import pytest
import torch

from cvtrain.training.task import Task
from tests.training.trained_runs import configured, trained

ARTICLE = ("+experiment=article",)


@pytest.mark.parametrize(
    ("convention", "transformed", "after"),
    [
        ("pytorch", 2 + 2j, -1 - 2j),
        ("wirtinger", 1 + 1j, 0 - 1j),
        ("unconjugated", 2 - 2j, -1 + 2j),
        ("unconjugated_wirtinger", 1 - 1j, 0 + 1j),
    ],
)
def test_the_articles_numbers_are_met_exactly(tmp_path, convention, transformed, after):
    run = trained(tmp_path, *ARTICLE, f"convention={convention}")
    first, last = run.rows.loc[0], run.rows.loc[1]
    assert first["train/loss"] == 1.0
    assert first["grad/weight/real[0,0]"] == 2.0
    assert first["grad/weight/imag[0,0]"] == 2.0
    assert (
        complex(first["optimizer_grad/weight/real[0,0]"], first["optimizer_grad/weight/imag[0,0]"])
        == transformed
    )
    assert complex(last["weight/weight/real[0,0]"], last["weight/weight/imag[0,0]"]) == after
    assert run.weights["weight"].dtype == torch.complex128
    assert run.weights["weight"].item() == after


def test_the_gradient_of_the_output_is_2j():
    task = Task(configured(*ARTICLE))
    model, samples = task.model(), task.dataset.train
    output = model(samples.inputs)
    output.retain_grad()
    task.objective.value(output, samples.targets).backward()
    assert output.grad.item() == 2j
    assert model.weight.grad.item() == 2 + 2j


def test_half_the_loss_and_half_the_gradient_are_the_same_here(tmp_path):
    halved = trained(tmp_path, *ARTICLE, "objective.scale=0.5")
    assert halved.weights["weight"].item() == -1j
    assert halved.rows.loc[0, "train/loss"] == 1.0
    assert halved.rows.loc[0, "train/objective"] == 0.5
