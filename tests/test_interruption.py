"""Ctrl-C and SIGTERM leave valid files, the status `interrupted` and exit 130 or 143."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cvtrain.interruption import ctrl_c_kept_from_children
from cvtrain.record.checkpoint import load_checkpoint

ENDLESS = ("max_steps=1000000", "model.hidden=[8]", "signals.histograms_every=0")
PATIENCE = 60.0


def interrupted(root: Path, number: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Start the command, wait for its first rows, send the signal, wait for the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cvtrain", *ENDLESS, *arguments],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    began = time.monotonic()
    while not any(p.read_text().count("\n") > 3 for p in root.rglob("metrics.csv")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def check(run_directory: Path) -> None:
    record = json.loads((run_directory / "run.json").read_text())
    assert record["status"] == "interrupted"
    weights, step = load_checkpoint(run_directory / "checkpoints" / "last.ckpt")
    assert step == record["steps"] > 0
    assert all(weight.isfinite().all() for weight in weights.values())
    assert (run_directory / "metrics.csv").read_text().endswith("\n")


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long)],
)
def test_an_interrupted_run_leaves_valid_files(tmp_path, number, status):
    done = interrupted(tmp_path, number)
    assert done.returncode == status
    assert "interrupted" in done.stderr
    assert "Traceback" not in done.stderr
    (directory,) = (tmp_path / "outputs" / "default").iterdir()
    check(directory)
    assert not [p for p in tmp_path.rglob(".*") if p.name not in (".hydra",)]


@pytest.mark.parametrize(
    ("number", "status"),
    [pytest.param(signal.SIGINT, 130, marks=pytest.mark.long), (signal.SIGTERM, 143)],
)
def test_an_interrupted_sweep_leaves_valid_files_and_no_lock(tmp_path, number, status):
    done = interrupted(tmp_path, number, "seed=0,1", "-m")
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    (directory,) = (tmp_path / "outputs" / "sweep").iterdir()
    for run in ("0_seed=0", "1_seed=1"):
        check(directory / run)
    assert not [p for p in tmp_path.rglob(".*") if p.name not in (".hydra",)]
    assert len(json.loads((directory / "sweep.json").read_text())["points"]) == 2


def test_a_run_that_has_not_begun_when_the_sweep_is_interrupted_leaves_nothing(tmp_path):
    interrupted(tmp_path, signal.SIGINT, "seed=0,1", "-m", "hydra/launcher=basic")
    (directory,) = (tmp_path / "outputs" / "sweep").iterdir()
    check(directory / "0_seed=0")
    assert not (directory / "1_seed=1").exists()


def test_a_process_that_starts_is_not_ended_by_the_ctrl_c_of_its_terminal():
    with ctrl_c_kept_from_children():
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    child.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.5)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
