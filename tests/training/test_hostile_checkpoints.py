"""Checkpoints and event files that nobody's cvtrain wrote: a run goes on or begins again."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import zipfile
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import cvtrain
from cvtrain.config.point import Point
from cvtrain.runs.checkpoint import checkpoint_path
from cvtrain.runs.journal import Journal
from cvtrain.training.job import Job
from cvtrain.training.train import train
from tests.mutations import with_another_value, with_other_bytes

STRANGE: list[Any] = [
    *(None, True, 0, -1, 3, 1e308, float("nan"), 2**70, "", "../..", [], [1], {}, {"a": 1}),
    *(torch.zeros(()), torch.zeros(3), torch.zeros(2, 2, dtype=torch.complex64)),
    *(torch.zeros(7, dtype=torch.uint8), torch.tensor(float("nan"))),
]
MUTATIONS = 250
KINDS = ("single", "stack")


@cache
def points(optimizer: str) -> tuple[Point, ...]:
    common = ["model.hidden=[2]", "max_steps=6", "signals.validation_every=2", "batch_size=8"]
    configs = [cvtrain.configure(f"optimizer={optimizer}", f"seed={s}", *common) for s in (0, 1)]
    return tuple(Point(seed, config, (), f"{seed}") for seed, config in enumerate(configs))


def job(kind: str, root: Path, **changed: Any) -> Job:
    chosen = points("adam" if kind == "stack" else "sgd_momentum")
    chosen = chosen if kind == "stack" else chosen[:1]
    paused = tuple(
        Point(p.number, p.config.model_copy(update=changed), p.overrides, p.directory)
        for p in chosen
    )
    return Job(paused, root, kind)


@pytest.fixture(scope="module", params=KINDS)
def interrupted(request, tmp_path_factory):
    """Runs that were interrupted after 4 of 6 updates."""
    root = tmp_path_factory.mktemp("hostile") / request.param
    train(job(request.param, root, pause_at=4))
    return request.param, root


def copied(root: Path, directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(root, directory)
    return directory


def goes_on(kind: str, root: Path) -> list[str]:
    """Train what is there; how each run ended."""
    wanted = job(kind, root)
    train(wanted)
    return [str(Journal(root).status(point.directory)) for point in wanted.points]


def with_a_value_changed(run: Path, draw: random.Random) -> None:
    path = checkpoint_path(run, "last")
    torch.save(with_another_value(torch.load(path, weights_only=True), draw, STRANGE), path)


def with_bytes_changed_or_cut_off(run: Path, draw: random.Random) -> None:
    path = draw.choice([checkpoint_path(run, "last"), *run.glob("events*"), run / "run.json"])
    path.write_bytes(with_other_bytes(path.read_bytes(), draw))


@pytest.mark.parametrize("change", [with_a_value_changed, with_bytes_changed_or_cut_off])
def test_files_that_were_changed_are_used_or_left(interrupted, tmp_path, share, change):
    kind, root = interrupted
    draw = random.Random(kind)
    ended: Counter[str] = Counter()
    for _ in range(share(MUTATIONS, 40)):
        directory = copied(root, tmp_path / "runs")
        change(directory / "0", draw)
        ended.update(goes_on(kind, directory))
    assert ended.keys() <= {"finished", "diverged"}, ended


class Executes:
    """Touches a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("place", ["data.pkl", "whole"])
def test_a_checkpoint_executes_nothing(interrupted, tmp_path, place):
    kind, root = interrupted
    directory = copied(root, tmp_path / "runs")
    path, made = checkpoint_path(directory / "0", "last"), tmp_path / "executed"
    if place == "whole":
        path.write_bytes(pickle.dumps({"schema": 1, "state_dict": Executes(made), "step": 4}))
    else:
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in parts.items():
                pickled = pickle.dumps(Executes(made)) if name.endswith("data.pkl") else content
                archive.writestr(name, pickled)
    assert set(goes_on(kind, directory)) == {"finished"}
    assert not made.exists()


def test_an_optimizer_state_of_the_other_semantics_is_left(tmp_path, caplog):
    train(job("stack", tmp_path, pause_at=4))
    for run in ("0", "1"):
        path = checkpoint_path(tmp_path / run, "last")
        content = torch.load(path, weights_only=True)
        for state in content["training"]["optimizer"].values():
            state["exp_avg_sq"] = state["exp_avg_sq"].real
        torch.save(content, path)
    assert goes_on("stack", tmp_path) == ["finished", "finished"]
    assert (
        "its checkpoint cannot be used: state dict: state[0]['exp_avg_sq'] is real" in caplog.text
    )
