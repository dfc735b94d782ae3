"""Weights & Biases and MLflow get the rows of metrics.csv, and cannot harm a run."""

from __future__ import annotations

import csv
import math
import warnings
from pathlib import Path

import pytest

import cvtrain
from cvtrain.config.point import Point
from cvtrain.process.errors import InputError
from cvtrain.runs import trackers as tracker_module
from cvtrain.sweeps.estimate import measure_cost
from cvtrain.sweeps.memory_probe import probe_memory
from cvtrain.training.job import Job
from cvtrain.training.preflight import preflight
from cvtrain.training.task import Task
from cvtrain.training.train import train

SMALL = ("model.hidden=[4]", "max_steps=6", "signals.scalars_every=2", "signals.validation_every=3")


def points(*overrides: str) -> tuple[Point, ...]:
    configs = [cvtrain.configure(*SMALL, *overrides, f"seed={seed}") for seed in (0, 1)]
    return tuple(Point(n, config, (), f"run{n}") for n, config in enumerate(configs))


@pytest.fixture(autouse=True)
def every_tracker_is_in_reach(monkeypatch):
    monkeypatch.setattr(tracker_module.Trackers, "_out_of_reach", set())


def rows(directory: Path) -> list[dict[str, float]]:
    with (directory / "metrics.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """A stack of two runs, tracked in a database, of which the first part is trained twice."""
    root = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{root / 'mlflow.db'}"
    arguments = ("logger=mlflow", f"logger.tracking_uri='{uri}'", "logger.experiment=twos")
    trained = points(*arguments)
    train(Job(trained, root, "stack"))
    return root, uri, trained


def client(uri: str):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's own
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=uri)
        (experiment,) = [e for e in client.search_experiments() if e.name == "twos"]
        return client, client.search_runs([experiment.experiment_id])


def test_mlflow_has_every_run_of_a_stack_with_the_rows_of_its_table(tracked):
    root, uri, _ = tracked
    recorded, runs = client(uri)
    assert sorted(run.info.run_name for run in runs) == ["run0", "run1"]
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run.data.params["convention"] == "pytorch"
        assert run.data.params["seed"] == run.info.run_name.removeprefix("run") + ".0"
        table = rows(root / run.info.run_name)
        for tag in ("train/loss", "grad/imag_norm", "val/loss", "test/accuracy"):
            history = recorded.get_metric_history(run.info.run_id, tag)
            expected = [(int(row["step"]), row[tag]) for row in table if tag in row]
            assert sorted((m.step, m.value) for m in history) == expected
        assert "grad/head.bias/real:0" in run.data.metrics or any(
            ":" in name for name in run.data.metrics
        )


def test_a_run_that_is_trained_again_goes_on_in_the_same_place(tracked):
    root, uri, trained = tracked
    train(Job(trained, root, "stack"))
    assert len(client(uri)[1]) == 2


def test_weights_and_biases_keeps_a_run_of_its_own_for_each_run_of_a_stack(tmp_path):
    trained = points("logger=wandb", "logger.mode=offline", "logger.project=twos")
    train(Job(trained, tmp_path, "stack"))
    for point in trained:
        (file,) = (tmp_path / point.directory / "wandb").glob("offline-run-*/*.wandb")
        content = file.read_bytes()
        assert b"grad/imag_norm" in content
        assert b"test/accuracy" in content
        assert point.directory.encode() in content


def test_what_is_tracked_has_the_numbers_of_what_is_not(tracked, tmp_path):
    root, _, trained = tracked
    train(Job(points(), tmp_path, "stack"))
    for point in trained:
        for ours, theirs in zip(
            rows(root / point.directory), rows(tmp_path / point.directory), strict=True
        ):
            assert ours == theirs
    assert [point.id for point in points()] == [point.id for point in trained]


def test_a_tracker_that_fails_is_given_up_with_a_line(tmp_path, monkeypatch, caplog):
    logged: list[int] = []

    class Broken:
        def log(self, step, values):
            logged.append(step)
            raise ConnectionError("the server is gone\nand more")

        def close(self, succeeded):
            raise AssertionError("it was given up")

    def opened(config, directory):
        if directory.name == "run0":
            return Broken()
        raise PermissionError("no key")

    monkeypatch.setattr(tracker_module, "_opened", opened)
    records = train(Job(points(), tmp_path, "stack"))
    assert [record.status for record in records] == ["finished", "finished"]
    assert logged == [0]
    messages = [
        record.getMessage() for record in caplog.records if "tracker" in record.getMessage()
    ]
    assert messages == [
        "the tracker is given up: no key",
        "the tracker is given up: the server is gone",
    ]
    assert all(math.isfinite(record.final["test/loss"]) for record in records)


def test_a_server_that_is_down_is_waited_for_once(tmp_path, monkeypatch, caplog):
    asked: list[str] = []

    def opened(config, directory):
        asked.append(directory.name)
        raise ConnectionError("no route to host")

    monkeypatch.setattr(tracker_module, "_opened", opened)
    for name in ("first", "second"):
        train(Job(points(), tmp_path / name, "stack"))
    assert asked == ["run0"]
    messages = [
        record.getMessage() for record in caplog.records if "tracker" in record.getMessage()
    ]
    assert messages == ["the tracker is given up: no route to host"]


def test_trials_are_no_runs_of_a_tracker(monkeypatch):
    opened: list[str] = []
    monkeypatch.setattr(
        tracker_module, "_opened", lambda config, _: opened.append(config.logger.kind)
    )
    both = points("logger=mlflow", "logger.experiment=cvtrain")
    task = Task(both[0].config)
    assert probe_memory(both[0].config, task).refusal is None
    measure_cost(Job(both, Path(), "stack"))
    assert set(opened) == {"none"}


def test_a_package_that_is_not_installed_is_told_with_its_extra(monkeypatch):
    (point, _) = points("logger=wandb")
    monkeypatch.setattr("cvtrain.process.optional_dependencies.find_spec", lambda package: None)
    with pytest.raises(InputError, match=r"logger=wandb: needs .*-m pip install .*\[wandb\]"):
        preflight([point])
