"""A sweep killed at any moments, one after another, ends as one that never was."""

from __future__ import annotations

import csv
import json
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.forked_command import ForkedCommands
from tests.sweeps.small_sweep import SMALL, assert_equal, record


def assert_readable(directory: Path) -> None:
    """Whatever state a file is in, it parses: JSON whole, tables up to their last row."""
    for path in directory.glob("**/*.json"):
        json.loads(path.read_text(encoding="utf-8"))
    for path in directory.glob("*/metrics.csv"):
        complete = path.read_text(encoding="utf-8").rpartition("\n")[0]
        assert len({len(row) for row in csv.reader(complete.splitlines())}) <= 1


def assert_kills_change_no_bit(
    commands: ForkedCommands, place: Path, command: list[str], kills: int, more: bool = False
) -> None:
    """Kill a sweep so many times, each time at another moment, and compare with a whole one.

    Args:
        commands: which train.
        place: an empty directory, in which they do.
        command: of the sweep.
        kills: how many; after the last one of a sweep it goes on to its end.
        more: whether `resume` needs the whole command again, as with a network of the user's.
    """
    whole = place / "whole"
    began = time.monotonic()
    done = commands.run(place, *command, f"hydra.sweep.dir={whole}", "-m")
    assert done.returncode == 0, done.stderr
    took = time.monotonic() - began
    draw = random.Random(len(command))
    made = sweeps = 0
    while made < kills:
        # Another one also where the last was faster than its first kill.
        sweeps += 1
        directory = place / str(sweeps)
        arguments = [*command, f"hydra.sweep.dir={directory}", "-m"]
        status = -signal.SIGKILL
        while status == -signal.SIGKILL:
            moment = draw.uniform(0.05, 0.7) * took if made < kills else None
            done = commands.run(place, *arguments, killed_after=moment)
            status = done.returncode
            made += status == -signal.SIGKILL
            assert_readable(directory)
            if (directory / "sweep.json").exists():
                arguments = [*(command if more else ()), f"resume={directory}"]
            elif directory.exists():  # it was claimed, and no more
                shutil.rmtree(directory)
        assert status == 0, done.stderr
        assert_equal(whole, directory)
        assert not [*directory.glob("*/.run.json*"), *directory.glob("*/checkpoints/.*")]


@pytest.mark.parametrize(("stacked", "kills"), [(True, 40), (False, 30)])
@pytest.mark.long
def test_kills_at_random_moments_change_no_bit(commands, tmp_path, stacked, kills):
    command = [*SMALL, "checkpoint.every_n_steps=9", "max_steps=120", "seed=0,1"]
    command += [] if stacked else ["hydra.launcher.max_stack=1"]
    assert_kills_change_no_bit(commands, tmp_path, command, kills)


NETWORK = """
import torch
import torchcvnn.nn as c_nn
from torch import Tensor, nn


class Noisy(nn.Module):
    \"\"\"Batch normalisation and dropout: buffers and random numbers that a run goes on with.\"\"\"

    def __init__(self, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, 6, dtype=dtype),
            c_nn.BatchNorm1d(6, cdtype=dtype),
            c_nn.modReLU(),
            c_nn.Dropout(0.2),
            nn.Linear(6, 8, dtype=dtype),
            c_nn.Dropout(0.1),
            nn.Linear(8, 10, dtype=dtype),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
"""
EVERYTHING = (
    "model=custom",
    "model._target_=noisy.Noisy",
    "trusted_modules=[noisy]",
    "optimizer=adam,sgd",
    "objective.scale=1,0.5",
    "lr_octave=2",
    "batch_size=32",
    "max_steps=96",
    "ema.decay=0.9",
    "early_stopping.patience=1",
    "signals.validation_every=8",
    "signals.histograms_every=7",
    "signals.per_parameter=true",
    "checkpoint.every_n_steps=13",
)
"""All of what a run keeps between two updates, and runs that stop before the others."""


@pytest.mark.parametrize(
    ("stacked", "kills", "seeds"),
    [
        (True, 2, "seed=0"),
        pytest.param(True, 60, "seed=0,1", marks=pytest.mark.long),
        pytest.param(False, 60, "seed=0,1", marks=pytest.mark.long),
    ],
)
def test_kills_change_no_bit_of_statistics_averages_masks_and_histograms(
    commands, tmp_path, stacked, kills, seeds
):
    (tmp_path / "noisy.py").write_text(NETWORK)
    command = [*EVERYTHING, seeds, *(() if stacked else ("hydra.launcher.max_stack=1",))]
    assert_kills_change_no_bit(commands, tmp_path, command, kills, more=True)
    stopped = [record(path.parent)["stopped_at"] for path in tmp_path.glob("whole/*/run.json")]
    assert 0 < sum(step is not None for step in stopped) < len(stopped)
