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

from tests.sweep.small_sweep import SMALL, assert_equal


def assert_readable(directory: Path) -> None:
    """Whatever state a file is in, it parses: JSON whole, tables up to their last row."""
    for path in directory.glob("**/*.json"):
        json.loads(path.read_text(encoding="utf-8"))
    for path in directory.glob("*/metrics.csv"):
        complete = path.read_text(encoding="utf-8").rpartition("\n")[0]
        assert len({len(row) for row in csv.reader(complete.splitlines())}) <= 1


@pytest.mark.parametrize(
    ("stacked", "kills"),
    [
        (True, 3),
        pytest.param(True, 40, marks=pytest.mark.long),
        pytest.param(False, 30, marks=pytest.mark.long),
    ],
)
def test_kills_at_random_moments_change_no_bit(commands, tmp_path, stacked, kills):
    command = [*SMALL, "checkpoint.every_n_steps=9", "max_steps=200"]
    command += [] if stacked else ["hydra.launcher.max_stack=1"]
    whole = tmp_path / "whole"
    began = time.monotonic()
    assert commands.run(tmp_path, *command, f"hydra.sweep.dir={whole}", "-m").returncode == 0
    took = time.monotonic() - began
    draw = random.Random(int(stacked))
    made = sweeps = 0
    while made < kills:
        # Another one also where the last was faster than its first kill.
        sweeps += 1
        directory = tmp_path / str(sweeps)
        arguments = [*command, f"hydra.sweep.dir={directory}", "-m"]
        status = -signal.SIGKILL
        while status == -signal.SIGKILL:
            moment = draw.uniform(0.05, 0.7) * took if made < kills else None
            status = commands.run(tmp_path, *arguments, killed_after=moment).returncode
            made += status == -signal.SIGKILL
            assert_readable(directory)
            if (directory / "sweep.json").exists():
                arguments = [f"resume={directory}"]
            elif directory.exists():  # it was claimed, and no more
                shutil.rmtree(directory)
        assert status == 0
        assert_equal(whole, directory)
        assert not [*directory.glob("*/.run.json*"), *directory.glob("*/checkpoints/.*")]
