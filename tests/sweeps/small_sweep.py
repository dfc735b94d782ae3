"""A sweep of seconds, and what makes two of them equal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from cvtrain.cli.train import main
from cvtrain.runs.checkpoint import load_checkpoint
from cvtrain.runs.run_json import read_record
from tests.event_content import events

AXES = ("optimizer=sgd,adam", "objective.scale=1,0.5", "seed=0,1,2")
SMALL = ("model.hidden=[4]", "max_steps=60", "signals.validation_every=20", *AXES)
RUNS = 12
LONG = (
    "max_steps=240",
    "checkpoint.every_n_steps=20",
    "signals.validation_every=80",
    "optimizer=adam",
)
"""Enough to be stopped on the way: six runs, of which two workers have a stack each."""
TIMES = ("started", "wall_seconds", "threads", "stack_size")
"""What run.json says of when and how, and may say otherwise."""


def sweep(directory: Path, *more: str) -> int:
    return main([*SMALL, *more, f"hydra.sweep.dir={directory}", "-m"])


def resume(directory: Path | str, *more: str) -> int:
    return main([f"resume={directory}", *more])


def record(directory: Path) -> dict:
    content = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    assert {key for key in TIMES if key in content} == set(TIMES)
    for key in TIMES:
        del content[key]
    return content


def assert_equal(one: Path, other: Path) -> None:
    """Every run of one sweep is that of the other, but for times."""
    names = sorted(path.parent.name for path in one.glob("*/run.json"))
    assert names == sorted(path.parent.name for path in other.glob("*/run.json"))
    assert names
    for name in names:
        assert record(one / name) == record(other / name)
        tables = [(root / name / "metrics.csv").read_bytes() for root in (one, other)]
        assert tables[0] == tables[1]
        assert events(one / name) == events(other / name)
        kinds = [path.stem for path in (one / name / "checkpoints").glob("*.ckpt")]
        assert {"last", "best"} <= set(kinds)
        for kind in kinds:
            (left, step), (right, other_step) = (
                load_checkpoint(root / name / "checkpoints" / f"{kind}.ckpt")
                for root in (one, other)
            )
            assert step == other_step
            assert left.keys() == right.keys()
            assert all(torch.equal(left[key], right[key]) for key in left)


@contextmanager
def start(directory: Path, *more: str, threads: str = "2") -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "cvtrain", *SMALL, *LONG, *more]
    with subprocess.Popen(
        [*command, f"hydra.sweep.dir={directory}", "-m"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": threads},
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def checkpoints(directory: Path) -> int:
    return len(list(directory.glob("*/checkpoints/last.ckpt")))


def wait_for(running: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    while not condition():
        assert running.poll() is None, running.communicate()[1]
        time.sleep(0.02)


def statuses(directory: Path) -> dict[str, str]:
    return {path.parent.name: read_record(path)["status"] for path in directory.glob("*/run.json")}
