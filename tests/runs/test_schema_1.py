"""Run directories of schema 1 are read, reported, compared and continued."""

from __future__ import annotations

import csv
import json
import re
import shutil
from io import StringIO
from pathlib import Path

import pytest
import torch

from cvtrain.analysis.load import load
from cvtrain.cli.report import main as report
from cvtrain.cli.train import main
from cvtrain.config.schema import check_config
from cvtrain.runs.checkpoint import load_checkpoint
from cvtrain.runs.metrics_csv import value_at
from cvtrain.runs.run_json import read_record
from tests.sweeps.small_sweep import record, resume, statuses, sweep

pytestmark = pytest.mark.usefixtures("blank_figures")

TWO_RUNS = ("optimizer=sgd", "seed=0", "max_steps=20", "clip=norm", "goal.value=0.5")


def as_schema_1(directory: Path) -> None:
    """Rename everything in a sweep's directory as schema 1 had it."""
    for path in (*directory.glob("*.json"), *directory.glob("*/run.json")):
        text = path.read_text(encoding="utf-8")
        text = text.replace('"schema": 2', '"schema": 1').replace("optimizer_grad/", "handed/")
        path.write_text(text.replace('"goal', '"target'), encoding="utf-8")
    for path in directory.glob("*/metrics.csv"):
        path.write_bytes(path.read_bytes().replace(b"optimizer_grad/", b"handed/"))
    for path in directory.glob("*/checkpoints/*.ckpt"):
        content = torch.load(path, weights_only=True) | {"schema": 1}
        if "training" in content:
            recorded = content["training"]["recorded"]
            recorded["tags"] = [former(tag) for tag in recorded["tags"]]
            recorded["final"] = {former(tag): value for tag, value in recorded["final"].items()}
            table = path.parents[1] / "metrics.csv"
            recorded["sizes"] = {name: size for name, (size, _) in recorded.pop("files").items()}
            recorded["sizes"]["metrics.csv"] = table.stat().st_size
        torch.save(content, path)


def former(tag: str) -> str:
    return re.sub("^optimizer_grad/", "handed/", tag)


def copied(directory: Path, to: Path) -> Path:
    shutil.copytree(directory, to)
    as_schema_1(to)
    return to


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("schema") / "whole"
    assert sweep(directory, *TWO_RUNS) == 0
    return directory


@pytest.fixture(scope="module")
def former_whole(whole, tmp_path_factory):
    return copied(whole, tmp_path_factory.mktemp("former") / "whole")


@pytest.fixture(scope="module")
def former_paused(tmp_path_factory):
    root = tmp_path_factory.mktemp("paused")
    assert sweep(root / "paused", *TWO_RUNS, "pause_at=10") == 0
    return copied(root / "paused", root / "former")


def assert_same_runs(one: Path, other: Path) -> None:
    """Both hold the same runs, as read: tables, curves and final weights."""
    tables = [load(directory) for directory in (one, other)]
    for kind in ("runs", "curves"):
        left, right = (getattr(table, kind) for table in tables)
        left = left.drop(columns=["started", "wall_seconds"], errors="ignore")
        right = right.drop(columns=["started", "wall_seconds"], errors="ignore")
        if kind == "curves":
            left, right = (
                t.astype({"tag": str}).sort_values(["run", "tag", "step"], ignore_index=True)
                for t in (left, right)
            )
        assert set(left.columns) == set(right.columns)
        assert left.equals(right[list(left.columns)]), kind
    for name in tables[0].runs["directory"]:
        paths = [directory / name / "checkpoints" / "last.ckpt" for directory in (one, other)]
        (left, step), (right, other_step) = map(load_checkpoint, paths)
        assert step == other_step
        assert all(torch.equal(left[key], right[key]) for key in left)


def test_it_is_read_under_the_names_of_today(whole, former_whole, tmp_path, capsys):
    for path in former_whole.glob("*/run.json"):
        assert b"handed/norm" in (path.parent / "metrics.csv").read_bytes()
        content = read_record(path)
        assert {"optimizer_grad/norm", "optimizer_grad/clip_coefficient"} <= set(content["final"])
        assert check_config(content["config"]).identity == content["id"]
        assert value_at(path.parent, 0, "optimizer_grad/norm") is not None
    points = read_record(former_whole / "sweep.json")["points"]
    assert all("goal.value=0.5" in point["overrides"] for point in points)
    assert_same_runs(whole, former_whole)
    assert report([str(former_whole)]) == 0
    capsys.readouterr()
    assert report([str(whole), str(former_whole), "--folder", str(tmp_path / "both")]) == 0


def test_runs_that_have_ended_stay_as_they_are(whole, former_whole, tmp_path, capsys):
    directory = tmp_path / "sweep"
    shutil.copytree(former_whole, directory)
    assert resume(directory) == 0
    assert "2 of 2 runs have ended already" in capsys.readouterr().err
    assert {json.loads(p.read_text())["schema"] for p in directory.glob("*/run.json")} == {1}
    assert read_record(directory / "sweep.json")["schema"] == 2


def test_a_sweep_goes_on_from_its_checkpoints(whole, former_paused, tmp_path, capsys):
    directory = tmp_path / "sweep"
    shutil.copytree(former_paused, directory)
    assert set(statuses(directory).values()) == {"interrupted"}
    assert resume(directory) == 0
    assert "begin" not in capsys.readouterr().err
    assert_same_runs(whole, directory)
    for path in whole.glob("*/run.json"):
        assert record(path.parent) == record(directory / path.parent.name)
        tables = [root / path.parent.name / "metrics.csv" for root in (whole, directory)]
        now, before = (list(csv.reader(StringIO(table.read_text()))) for table in tables)
        assert before[0] == [former(tag) for tag in now[0]]
        assert before[1:] == now[1:]


def test_a_single_run_goes_on_from_its_checkpoint(tmp_path, capsys):
    run = ("model.hidden=[4]", "max_steps=20", "goal.metric=accuracy")
    for name, more in (("whole", ()), ("paused", ("pause_at=10",))):
        assert main([*run, *more, f"hydra.run.dir={tmp_path / 'runs' / name}"]) == 0
    as_schema_1(tmp_path / "runs")
    capsys.readouterr()
    assert main([f"resume={tmp_path / 'runs' / 'paused'}"]) == 0
    assert "begins again" not in capsys.readouterr().err
    assert_same_runs(tmp_path / "runs" / "whole", tmp_path / "runs" / "paused")
