"""Worker processes give the bits of one process, and a lost one costs nothing but time."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

import cvtrain
from cvtrain.config.point import Point
from cvtrain.process.errors import Interrupted
from cvtrain.process.signals import interruption
from cvtrain.runs.run_json import read_record
from cvtrain.sweeps.executors.worker import train_in_worker
from cvtrain.training.job import Job
from tests.sweeps.small_sweep import (
    LONG,
    SMALL,
    assert_equal,
    checkpoints,
    resume,
    start,
    statuses,
    wait_for,
)

SIDE_BY_SIDE = "hydra.launcher.workers=2"


def workers(running: subprocess.Popen[str]) -> list[psutil.Process]:
    """Those that train: the other child of `multiprocessing` watches over named resources."""
    children = psutil.Process(running.pid).children()
    return [child for child in children if "resource_tracker" not in " ".join(child.cmdline())]


def kill_worker(command: int, number: int) -> None:
    """Send a signal to the first of two forks that train."""
    children = psutil.Process(command).children()
    first, _ = (child for child in children if "resource_tracker" not in str(child.cmdline()))
    assert "spawn_main" not in str(first.cmdline())
    first.send_signal(number)


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.long)]
)
def test_a_killed_worker_costs_nothing_but_time(commands, whole, tmp_path, number):
    directory = tmp_path / "sweep"
    done = commands.run(
        tmp_path,
        *(*SMALL, *LONG, SIDE_BY_SIDE, f"hydra.sweep.dir={directory}", "-m"),
        killed_when=lambda: checkpoints(directory) > 3,
        number=number,
        kill=kill_worker,
        forks_workers=True,
    )
    assert done.returncode == 0, done.stderr
    assert_equal(whole, directory)


def test_a_signal_to_a_worker_is_for_one_job():
    point = Point(0, cvtrain.configure(*SMALL[:1]), (), "0")
    interruption.requested = signal.SIGTERM
    outcome = train_in_worker(Job((point,), Path("nowhere")))
    assert isinstance(outcome, Interrupted)
    assert interruption.requested is None


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 130)],
)
@pytest.mark.long
def test_an_interrupted_sweep_leaves_what_it_goes_on_from(whole, tmp_path, number, status):
    directory = tmp_path / "sweep"
    with start(directory, SIDE_BY_SIDE) as running:
        wait_for(running, lambda: checkpoints(directory) > 3)
        running.send_signal(number)
        printed = running.communicate()[1]
    assert running.returncode == status, printed
    assert "Traceback" not in printed
    left = set(statuses(directory).values())
    assert "interrupted" in left
    assert left <= {"interrupted", "finished"}
    assert resume(directory, "hydra.launcher.workers=1") == 0
    assert_equal(whole, directory)


@pytest.mark.long
def test_workers_end_with_the_sweep_that_is_killed(tmp_path):
    directory = tmp_path / "sweep"
    with start(directory, SIDE_BY_SIDE) as running:
        wait_for(running, lambda: checkpoints(directory) == 6)
        processes = workers(running)
        running.kill()
        running.communicate()
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert not alive


@pytest.mark.long
def test_a_run_that_loses_every_worker_fails_and_the_others_do_not(tmp_path):
    directory = tmp_path / "sweep"
    axes = ("max_steps=300000,60", "optimizer=sgd", "objective.scale=1", "seed=0")
    kills = 0
    with start(directory, SIDE_BY_SIDE, "hydra.launcher.max_stack=1", *axes) as running:
        wait_for(running, lambda: "finished" in statuses(directory).values())
        (checkpoint,) = directory.glob("*300000*")
        checkpoint = checkpoint / "checkpoints" / "last.ckpt"
        while running.poll() is None:
            if checkpoint.exists():
                for worker in workers(running):
                    worker.kill()
                kills += 1
                checkpoint.unlink()
            time.sleep(0.1)
        printed = running.communicate()[1]
    assert running.returncode == 1, printed
    assert "Traceback" not in printed
    assert kills == 3
    assert sorted(statuses(directory).values()) == ["failed", "finished"]
    (record,) = map(read_record, directory.glob("*300000*/run.json"))
    assert "the process that trained was lost" in record["error"]
