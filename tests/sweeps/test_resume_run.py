"""A single run that was stopped goes on from its checkpoint, by its directory."""

from __future__ import annotations

import json
import signal
import time
from datetime import datetime

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cvtrain.cli.train import main
from cvtrain.config.overrides import quoted
from cvtrain.process.errors import InputError, Interrupted
from cvtrain.runs import journal
from cvtrain.runs.directory_lock import DirectoryLock
from cvtrain.sweeps import single_run
from cvtrain.training.job import Job
from tests.sweeps.small_sweep import assert_equal, resume

RUN = ("model.hidden=[4]", "max_steps=40", "optimizer=adam", "signals.validation_every=10")


@pytest.fixture
def paused(tmp_path):
    directory = tmp_path / "paused" / "run"
    assert main([*RUN, f"hydra.run.dir={tmp_path / 'whole' / 'run'}"]) == 0
    assert main([*RUN, "pause_at=23", f"hydra.run.dir={directory}"]) == 0
    return directory


def scalars(directory) -> dict:
    accumulator = EventAccumulator(str(directory))
    accumulator.Reload()
    tags = accumulator.Tags()["scalars"]
    return {tag: [(e.step, e.value) for e in accumulator.Scalars(tag)] for tag in tags}


def change(directory, **changed) -> None:
    path = directory / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def test_it_ends_with_the_bits_of_one_that_was_not_stopped(paused, tmp_path):
    assert resume(paused) == 0
    assert_equal(tmp_path / "whole", tmp_path / "paused")
    assert scalars(paused) == scalars(tmp_path / "whole" / "run")


def test_a_run_that_is_trained_keeps_another_command_out(tmp_path, monkeypatch, capsys):
    directory = tmp_path / "run"
    statuses = []

    def train(*_: object) -> None:
        statuses.append(resume(directory))
        raise Interrupted(signal.SIGINT)

    assert main([*RUN, "pause_at=3", f"hydra.run.dir={directory}"]) == 0
    monkeypatch.setattr(single_run, "train", train)
    assert resume(directory) == 130
    assert statuses == [2]
    assert "is being trained by another command (process" in capsys.readouterr().err


def test_a_run_keeps_another_command_out_from_its_beginning(tmp_path, monkeypatch):
    refused = pytest.raises(InputError, match="is being trained by another command")

    def train(job: Job, *_: object) -> None:
        with refused:
            DirectoryLock(job.root / job.points[0].directory).__enter__()
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(single_run, "train", train)
    assert main([*RUN, f"hydra.run.dir={tmp_path / 'run'}"]) == 130


def test_a_run_of_a_sweep_goes_on_with_that(tmp_path, capsys):
    directory = tmp_path / "sweep"
    arguments = (*RUN, "seed=0,1", "pause_at=3", f"hydra.sweep.dir={directory}", "-m")
    assert main([*arguments]) == 0
    capsys.readouterr()
    assert resume(quoted(str(directory / "0_seed=0"))) == 2
    assert f"resume={directory} resumes it" in capsys.readouterr().err


@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_jumps_changes_no_number_and_no_order(paused, tmp_path, monkeypatch, days):
    shift = days * 86400
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + shift)
    monkeypatch.setattr(
        journal, "_now", lambda: datetime.fromtimestamp(now() + shift).astimezone().isoformat()
    )
    assert resume(paused) == 0
    assert scalars(paused) == scalars(tmp_path / "whole" / "run")
    tables = [(path / "metrics.csv").read_bytes() for path in (paused, tmp_path / "whole" / "run")]
    assert tables[0] == tables[1]
    assert 0 < json.loads((paused / "run.json").read_text())["wall_seconds"] < 600


@pytest.mark.parametrize(
    ("prepare", "more", "told"),
    [
        (lambda run: None, ["max_steps=80"], "leave out max_steps"),
        (lambda run: change(run, id="0"), [], "its configuration does not match its id"),
        (lambda run: change(run, config=3), [], "config=3: should be a valid dictionary"),
        (lambda run: change(run, config={}), [], "should have a value"),
        (lambda run: change(run, status="finished"), [], "this run has ended (finished)"),
        (lambda run: (run / "run.json").write_text("{"), [], "run.json"),
    ],
)
def test_what_cannot_go_on_is_a_line(paused, capsys, prepare, more, told):
    prepare(paused)
    capsys.readouterr()
    assert resume(paused, *more) == 2
    assert told in capsys.readouterr().err


def test_a_runs_file_trusts_no_module(paused, tmp_path, capsys, monkeypatch):
    (tmp_path / "stranger.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    content = json.loads((paused / "run.json").read_text())["config"]
    content["model"] = {"_target_": "stranger.Net"}
    change(paused, config=content | {"trusted_modules": ["stranger"]})
    assert resume(paused) == 2
    assert not (tmp_path / "executed").exists()


def test_a_run_that_another_command_ends_meanwhile_is_not_trained_again(
    paused, monkeypatch, capsys
):
    enter = DirectoryLock.__enter__
    left = {}

    def after_another(lock: DirectoryLock) -> DirectoryLock:
        monkeypatch.setattr(DirectoryLock, "__enter__", enter)
        assert resume(paused) == 0
        left.update((path, path.read_bytes()) for path in paused.rglob("*") if path.is_file())
        return enter(lock)

    monkeypatch.setattr(DirectoryLock, "__enter__", after_another)
    assert resume(paused) == 2
    assert "this run has ended (finished)" in capsys.readouterr().err
    assert left == {path: path.read_bytes() for path in paused.rglob("*") if path.is_file()}
