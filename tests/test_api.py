"""cvtrain from Python gives what the command gives."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import cvtrain
from cvtrain.process.errors import InputError, Interrupted

SHORT = ("max_steps=6", "model.hidden=[8]", "signals.scalars_every=2")


def test_a_run_from_python_has_the_numbers_of_the_command(commands, tmp_path):
    directory = cvtrain.train(cvtrain.configure(*SHORT), output=tmp_path / "here").directory
    assert directory.parent == tmp_path / "here"
    assert commands.run(tmp_path, *SHORT).returncode == 0
    (other,) = (tmp_path / "outputs" / "default").iterdir()
    metrics = [(path / "metrics.csv").read_bytes() for path in (directory, other)]
    assert metrics[0] == metrics[1]
    ids = [cvtrain.load(path).runs["id"].item() for path in (directory, other)]
    assert ids[0] == ids[1]


def test_two_runs_in_one_second_get_two_directories(tmp_path):
    config = cvtrain.configure(*SHORT)
    first, second = (cvtrain.train(config, output=tmp_path).directory for _ in range(2))
    assert first != second


def test_curves_and_runs_are_tidy(tmp_path):
    sweep = cvtrain.load(cvtrain.train(cvtrain.configure(*SHORT), output=tmp_path))
    assert list(sweep.curves.columns) == ["run", "step", "tag", "value"]
    loss = sweep.curves.query("tag == 'train/loss'")
    assert loss["step"].tolist() == [0, 2, 4]
    assert sweep.runs["train/loss"].item() == loss["value"].iloc[-1]
    assert sweep.runs["optimizer.lr"].item() == 0.03125


@pytest.mark.parametrize("overrides", [("optimizer.lr=-1",), ("max_step=3",), ("seed=0,1",)])
def test_bad_overrides_raise_one_line(overrides):
    with pytest.raises(InputError) as caught:
        cvtrain.configure(*overrides)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("function", [cvtrain.configure, cvtrain.sweep])
def test_a_list_of_overrides_gets_the_call_that_takes_them(function):
    name = function.__name__
    with pytest.raises(InputError) as caught:
        function(["seed=1", "max_steps=2"])
    line = f"{name}(['seed=1', 'max_steps=2']): should be texts: {name}('seed=1', 'max_steps=2')"
    assert str(caught.value) == line


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no trainn"):
        _ = cvtrain.trainn


def test_a_run_from_python_has_histograms_as_the_command_makes_them(tmp_path):
    directory = cvtrain.train(cvtrain.configure(*SHORT), output=tmp_path).directory
    accumulator = EventAccumulator(str(directory))
    accumulator.Reload()
    assert "grad/trunk.0.weight/imag" in accumulator.Tags()["tensors"]


def test_an_interrupted_run_from_python_says_so(tmp_path):
    config = cvtrain.configure("model.hidden=[8]", "max_steps=100000")

    def interrupt() -> None:
        while not list(tmp_path.rglob("metrics.csv")):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Interrupted):
        cvtrain.train(config, output=tmp_path)
    thread.join()
    (directory,) = tmp_path.iterdir()
    assert cvtrain.load(directory).runs["status"].item() == "interrupted"


def test_a_run_is_locked_while_it_trains(tmp_path, monkeypatch):
    from cvtrain.runs.directory_lock import DirectoryLock
    from cvtrain.training import train as engine

    tried: list[str] = []

    def second_command(job, progressed):
        with pytest.raises(InputError, match="is being trained by another command"):
            DirectoryLock(job.root / job.points[0].directory).__enter__()
        tried.append(job.points[0].directory)

    monkeypatch.setattr(engine, "train", second_command)
    directory = cvtrain.train(cvtrain.configure("+experiment=article"), tmp_path).directory
    assert tried == [directory.name]
    assert not list(directory.glob(".lock"))
