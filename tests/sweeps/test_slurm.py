"""A sweep by SLURM has the bits of one process, also where its jobs are preempted or killed."""

from __future__ import annotations

import json
import os
import signal
import stat
from pathlib import Path

import psutil
import pytest

from tests.sweeps.small_sweep import (
    LONG,
    SMALL,
    assert_equal,
    checkpoints,
    resume,
    start,
    statuses,
    sweep,
    wait_for,
)

submitit = pytest.importorskip("submitit")

LOCAL = ("hydra/launcher=slurm", "hydra.launcher.cluster=local", "hydra.launcher.workers=2")

SLURM = {
    "sbatch": """
        id=$(($(ls "$FAKE_SLURM" | wc -l) + 1000))
        cp "$1" "$FAKE_SLURM/$id.script"
        SLURM_JOB_ID=$id SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_PROCID=0 \\
          SLURM_LOCALID=0 setsid bash "$1" >/dev/null 2>&1 &
        echo $! > "$FAKE_SLURM/$id.pid"
        echo "Submitted batch job $id"
    """,
    "srun": """
        while [[ "$1" == -* ]]; do
          if [ "$1" = --unbuffered ]; then shift; else shift 2; fi
        done
        exec "$@"
    """,
    "scancel": """
        echo "$1" >> "$FAKE_SLURM/cancelled"
        kill -TERM -- "-$(cat "$FAKE_SLURM/$1.pid")"
    """,
    "sacct": """
        echo 'JobID|State|NodeList'
        for file in "$FAKE_SLURM"/*.pid; do
          if kill -0 -- "-$(cat "$file")" 2>/dev/null; then state=RUNNING; else state=COMPLETED; fi
          echo "$(basename "$file" .pid)|$state|here"
        done
    """,
}
"""What submitit calls of SLURM, for one machine without a queue."""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A SLURM that runs everything at once; its folder has scripts and what was cancelled."""
    programs, folder = tmp_path / "bin", tmp_path / "slurm"
    programs.mkdir()
    folder.mkdir()
    for name, text in SLURM.items():
        path = programs / name
        path.write_text("#!/bin/bash\n" + text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(folder))
    return folder


def tasks(command: int) -> list[psutil.Process]:
    below = psutil.Process(command).children(recursive=True)
    return [process for process in below if "submitit.core._submit" in process.cmdline()]


def swept(directory: Path, *more: str) -> tuple[str, ...]:
    return (*SMALL, *LONG, *more, f"hydra.sweep.dir={directory}", "-m")


def preempt(command: int, number: int) -> None:
    """Send a signal to the first of two jobs."""
    first, _ = tasks(command)
    first.send_signal(number)


@pytest.mark.parametrize(
    "number", [signal.SIGUSR2, pytest.param(signal.SIGKILL, marks=pytest.mark.long)]
)
def test_a_preempted_or_killed_job_costs_nothing_but_time(commands, whole, tmp_path, number):
    directory = tmp_path / "sweep"
    done = commands.run(
        tmp_path,
        *swept(directory, *LOCAL),
        killed_when=lambda: checkpoints(directory) > 3,
        number=number,
        kill=preempt,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert len(list(directory.glob(".slurm/*/*_submitted.pkl"))) == 3
    assert_equal(whole, directory)


def test_jobs_of_a_command_that_was_killed_save_what_they_have_and_end(commands, tmp_path):
    directory = tmp_path / "sweep"
    arguments = ("hydra.launcher.lease_seconds=4", "hydra.launcher.workers=1", "max_steps=1000000")
    left = []

    def kill(command: int, number: int) -> None:
        left.extend(tasks(command))
        os.kill(command, number)

    done = commands.run(
        tmp_path,
        *swept(directory, *LOCAL, *arguments),
        killed_when=lambda: checkpoints(directory) > 3,
        kill=kill,
    )
    assert done.returncode == -signal.SIGKILL
    _, alive = psutil.wait_procs(left, timeout=60)
    assert len(left) == 1
    assert not alive
    assert set(statuses(directory).values()) == {"interrupted"}
    assert checkpoints(directory) == len(statuses(directory))


@pytest.mark.long
def test_jobs_of_a_command_that_is_suspended_end_and_go_on_with_it(whole, tmp_path):
    directory = tmp_path / "sweep"
    with start(directory, *LOCAL, "hydra.launcher.lease_seconds=4") as running:
        wait_for(running, lambda: checkpoints(directory) > 3)
        left = tasks(running.pid)
        running.send_signal(signal.SIGSTOP)
        _, alive = psutil.wait_procs(left, timeout=60)
        running.send_signal(signal.SIGCONT)
        assert not alive
        printed = running.communicate()[1]
    assert running.returncode == 0, printed
    assert_equal(whole, directory)


@pytest.mark.long
def test_jobs_of_a_sweep_that_was_killed_leave_its_directory_to_the_next(whole, tmp_path):
    directory = tmp_path / "sweep"
    with start(directory, *LOCAL) as running:
        wait_for(running, lambda: checkpoints(directory) > 3)
        left = tasks(running.pid)
        running.kill()
        running.wait()  # not for its output: that is open as long as its jobs are
    assert all(process.is_running() for process in left)
    assert resume(directory, "hydra/launcher=stacked") == 0
    _, alive = psutil.wait_procs(left, timeout=20)
    assert not alive
    assert_equal(whole, directory)


def test_slurm_gets_scripts_that_it_does_not_requeue_and_cancels_what_it_is_told_to(
    commands, slurm, tmp_path
):
    directory = tmp_path / "sweep"
    arguments = ("hydra/launcher=slurm", "hydra.launcher.workers=1")
    more = ("hydra.launcher.parameters.slurm_partition=gpu",)
    done = commands.run(
        tmp_path,
        *swept(directory, *arguments, *more),
        killed_when=lambda: checkpoints(directory) > 3,
        number=signal.SIGTERM,
        environment={name: os.environ[name] for name in ("PATH", "FAKE_SLURM")},
    )
    assert done.returncode == 143, done.stderr
    assert "Traceback" not in done.stderr
    assert f"resume={directory} hydra/launcher=slurm" in done.stderr
    assert more[0] in done.stderr
    scripts = [path.read_text() for path in slurm.glob("*.script")]
    for option in ("no-requeue", "signal=USR2@90", "partition=gpu", "cpus-per-task=4", "time=240"):
        assert all(f"#SBATCH --{option}\n" in script for script in scripts)
    assert len((slurm / "cancelled").read_text().split()) == 1
    assert set(statuses(directory).values()) <= {"interrupted", "finished"}
    assert "interrupted" in statuses(directory).values()


def test_what_a_file_says_of_the_queue_is_not_taken(tmp_path, capsys):
    directory = tmp_path / "sweep"
    assert sweep(directory, "optimizer=sgd", "seed=0", "max_steps=1") == 0
    path = directory / "sweep.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    queue = ["hydra/launcher=slurm", "+hydra.launcher.parameters.slurm_setup=[touch /tmp/x]"]
    path.write_text(json.dumps(content | {"command": content["command"] + queue}))
    assert resume(directory) == 2
    assert "give hydra/launcher=… and its options beside resume" in capsys.readouterr().err
