"""A sweep killed at any moments, one after another, ends as one that never was.

The commands are forked from a process that has everything imported: what is killed is the work and
not the start of Python.
"""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.sweep.small_sweep import SMALL, assert_equal

PROGRAM = """
    import json, os, sys
    import cvtrain.command, cvtrain.engine.train, cvtrain.report.analysis, cvtrain.sweep.sweeper
    import cvtrain.sweep.packing, cvtrain.trial, cvtrain.report.page, hydra_plugins.cvtrain_sweeper

    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os.setsid()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os._exit(cvtrain.command.main(json.loads(line)))
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Nursery:
    """Forks commands, and kills them."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def run(self, arguments: list[str], killed_after: float | None = None) -> int:
        """The exit status; -9 where it was killed, so many seconds after it was forked."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        child = int(self._line())
        if killed_after is not None:
            time.sleep(killed_after)
            with suppress(ProcessLookupError):  # it was faster
                os.kill(child, signal.SIGKILL)
        return int(self._line())

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


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
def test_kills_at_random_moments_change_no_bit(nursery, tmp_path, stacked, kills):
    command = [*SMALL, "checkpoint.every_n_steps=9", "max_steps=200"]
    command += [] if stacked else ["hydra.launcher.max_stack=1"]
    whole = tmp_path / "whole"
    began = time.monotonic()
    assert nursery.run([*command, f"hydra.sweep.dir={whole}", "-m"]) == 0
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
            status = nursery.run(
                arguments, draw.uniform(0.05, 0.7) * took if made < kills else None
            )
            made += status == -signal.SIGKILL
            assert_readable(directory)
            if (directory / "sweep.json").exists():
                arguments = [f"resume={directory}"]
            elif directory.exists():  # it was claimed, and no more
                shutil.rmtree(directory)
        assert status == 0
        assert_equal(whole, directory)
        assert not [*directory.glob("*/.run.json*"), *directory.glob("*/checkpoints/.*")]
