"""Signals at random moments, from the first import to the last figure: a line, and nothing lost."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sweeps.small_sweep import SMALL, assert_equal

SWEEP = (
    *(*SMALL, "objective.scale=1", "seed=0,1"),  # two stacks of two runs
    *("checkpoint.every_n_steps=9", "max_steps=60"),
)
NUMBERS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 120.0

Run = Callable[..., subprocess.CompletedProcess[str]]
"""Called with a directory, arguments, when to send a signal (or None) and which."""


def handled(process: subprocess.Popen[str]) -> bool:
    """Whether a process handles SIGTERM by now: Python alone does not."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(line for line in text.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def in_a_process(
    directory: Path, *arguments: str, after: float | None, number: int
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cvtrain", *arguments]
    with subprocess.Popen(
        command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            while after is not None and process.poll() is None and not handled(process):
                time.sleep(0.002)
            if after is not None:
                time.sleep(after)
                process.send_signal(number)
            out, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def assert_signals_lose_nothing(run: Run, folder: Path, moments: int) -> None:
    """Interrupt a sweep again and again, going on with it each time, and compare with a whole."""
    whole = folder / "whole"
    began = time.monotonic()
    done = run(folder, *SWEEP, f"hydra.sweep.dir={whole}", "-m", after=None, number=0)
    assert done.returncode == 0, done.stderr
    took = time.monotonic() - began
    draw = random.Random(moments)
    made = sweeps = 0
    while made < moments:
        sweeps += 1
        directory = folder / str(sweeps)
        arguments = [*SWEEP, f"hydra.sweep.dir={directory}", "-m"]
        status = 1
        while status != 0:
            number = draw.choice(NUMBERS)
            after = draw.uniform(0.05, 1.0) * took if made < moments else None
            done = run(folder, *arguments, after=after, number=number)
            status = done.returncode
            # Killed by it: before the command began, or when all was done.
            assert status in (0, 128 + number, -number), done.stderr
            for output in (done.stdout, done.stderr):
                assert "Traceback" not in output, output
                assert "Exception ignored" not in output, output
            if status > 0:
                assert done.stderr.count("cvtrain: interrupted") == 1, done.stderr
            made += after is not None
            if (directory / "sweep.json").exists():
                arguments = [f"resume={directory}"]
            elif directory.exists():  # it was claimed, and no more
                shutil.rmtree(directory)
        assert_equal(whole, directory)
        assert {path.name for path in directory.glob(".*")} <= {".hydra"}


@pytest.mark.parametrize("moments", [4, pytest.param(40, marks=pytest.mark.long)])
def test_signals_at_random_moments_lose_nothing(commands, tmp_path, moments):
    def run(
        directory: Path, *arguments: str, after: float | None, number: int
    ) -> subprocess.CompletedProcess[str]:
        return commands.run(directory, *arguments, killed_after=after, number=number)

    assert_signals_lose_nothing(run, tmp_path, moments)


@pytest.mark.long
def test_signals_at_random_moments_of_whole_processes_lose_nothing(tmp_path):
    assert_signals_lose_nothing(in_a_process, tmp_path, 60)
