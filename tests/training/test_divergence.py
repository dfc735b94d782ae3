"""What counts as diverged, for runs in lock step."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from cvtrain.config.point import Point
from cvtrain.runs.checkpoint import read_checkpoint
from cvtrain.training.job import Job
from cvtrain.training.run_status import EXPLOSION, DivergenceLatch, total_of
from cvtrain.training.train import train
from tests.training.trained_runs import configured

K = 3


def newly(latch, losses, tensors):
    newly.step += 1
    mask = latch.observe(newly.step, losses, total_of(tensors))
    runs = mask.nonzero().flatten().tolist()
    assert latch.take() == ({newly.step: runs} if runs else {})
    return runs


newly.step = -1


@pytest.mark.parametrize("bad", [complex("nan"), complex(0, float("inf")), complex("-inf")])
def test_one_bad_entry_of_weights_or_gradient_is_enough_and_touches_no_neighbour(bad):
    losses = torch.ones(K)
    latch = DivergenceLatch()
    gradient, weights = torch.ones(K, 4, dtype=torch.complex64), torch.ones(K, 2, 2)
    weights = weights.to(torch.complex64)
    assert newly(latch, losses, [gradient, weights]) == []
    gradient[1, 2] = bad
    assert newly(latch, losses, [gradient, weights]) == [1]
    weights[2, 0, 1] = bad
    assert newly(latch, losses, [torch.ones(K, 4), weights]) == [2]


def test_a_run_diverges_once():
    latch, weights = DivergenceLatch(), torch.ones(K, 2, 2)
    weights[0] = float("nan")
    assert newly(latch, torch.ones(K), [weights]) == [0]
    assert newly(latch, torch.ones(K), [weights]) == []


def test_infinities_of_opposite_signs_do_not_cancel():
    latch, weights = DivergenceLatch(), torch.ones(K, 2, 2, dtype=torch.complex64)
    weights[1, 0, 0], weights[1, 1, 1] = float("inf"), float("-inf")
    assert newly(latch, torch.ones(K), [torch.ones(K, 2), weights]) == [1]


def test_a_loss_is_bounded_by_a_million_times_the_first_one():
    latch = DivergenceLatch()
    gradient = torch.ones(K, 2)
    first = torch.tensor([1.0, 1e-3, 0.0])
    assert newly(latch, first, [gradient]) == []
    assert newly(latch, EXPLOSION * first, [gradient]) == []
    assert newly(latch, torch.tensor([2e6, 1e3, 0.0]), [gradient]) == [0]
    assert newly(latch, torch.tensor([1.0, float("nan"), 1e-30]), [gradient]) == [1, 2]


def test_a_negative_loss_is_bounded_by_its_size():
    latch = DivergenceLatch()
    gradient = torch.ones(K, 2)
    assert newly(latch, torch.full((K,), -2.0), [gradient]) == []
    assert newly(latch, torch.full((K,), -3.0), [gradient]) == []
    assert newly(latch, torch.full((K,), -3 * EXPLOSION), [gradient]) == [0, 1, 2]


@pytest.mark.parametrize("engine", ["single", "stack"])
def test_the_bound_is_that_of_the_first_loss_however_often_a_run_was_stopped(tmp_path, engine):
    common = ("model.hidden=[4]", "max_steps=24", "batch_size=16", "optimizer=adam")
    configs = [configured(*common, f"seed={seed}") for seed in range(2 if engine == "stack" else 1)]
    bounds = []
    for step in (8, 16):
        points = tuple(
            Point(number, config.model_copy(update={"pause_at": step}), (), str(number))
            for number, config in enumerate(configs)
        )
        train(Job(points, tmp_path, engine))
        paths = [tmp_path / p.directory / "checkpoints" / "last.ckpt" for p in points]
        saved = [read_checkpoint(path) for path in paths]
        assert {content["step"] for content in saved} == {step}
        bounds.append([float(content["training"]["loss_bound"]) for content in saved])
    tables = [pd.read_csv(tmp_path / p.directory / "metrics.csv") for p in points]
    first = [EXPLOSION * float(table["train/loss"].iloc[0]) for table in tables]
    assert bounds[0] == bounds[1] == pytest.approx(first, rel=1e-6)
