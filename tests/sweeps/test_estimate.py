"""What `plan=true` says of time and disk, however slow an update is."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from cvtrain.config.point import Point
from cvtrain.sweeps.estimate import measure_cost
from cvtrain.training.job import Job
from tests.training.trained_runs import configured

STEPS = 1000


class Counting(nn.Module):
    """Counts its batches of training, each of which takes so many seconds."""

    batches = 0

    def __init__(
        self, in_features: int, out_features: int, dtype: torch.dtype, seconds: float
    ) -> None:
        super().__init__()
        self.layer = nn.Linear(in_features, out_features, dtype=dtype)
        self.seconds = seconds

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            Counting.batches += 1
            time.sleep(self.seconds)
        return self.layer(x.flatten(1)).real


def tried(seconds: float, accumulated: int, patience: float) -> tuple[float, int]:
    """The seconds that a run is said to take, and how many batches that was learned from."""
    overrides = (
        *("model=custom", f"model._target_={__name__}.Counting", "trusted_modules=[tests]"),
        *(f"+model.args.seconds={seconds}", "batch_size=8", f"max_steps={STEPS}"),
        f"++trainer.accumulate_grad_batches={accumulated}",
    )
    Counting.batches = 0
    job = Job((Point(0, configured(*overrides), overrides, "run"),), None)
    cost = measure_cost(job, patience)
    assert cost.bytes > 1000
    return cost.seconds, Counting.batches


def test_of_the_batches_that_are_accumulated_a_few_are_tried():
    seconds, batches = tried(0.001, 1000, patience=1000)
    assert batches == 8 * (20 + 60)
    assert seconds > STEPS * 1000 * 0.001


@pytest.mark.parametrize("accumulated", [1, 1000])
def test_slow_updates_end_the_trials_and_are_counted(accumulated):
    seconds, batches = tried(0.1, accumulated, patience=2.5)
    assert 1 <= batches <= 30
    assert seconds > 0.9 * STEPS * accumulated * 0.1
