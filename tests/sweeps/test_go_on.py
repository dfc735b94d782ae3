"""The command that a sweep or a run prints to go on with, as a shell runs it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cvtrain.cli.train import main
from cvtrain.config.overrides import as_override
from cvtrain.config.schema import check_config
from cvtrain.process.errors import Interrupted
from cvtrain.sweeps import single_run
from cvtrain.sweeps.recorded_command import typed_again
from tests.forked_command import ForkedCommands
from tests.sweeps.small_sweep import statuses

NETWORK = """
from pathlib import Path
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, in_features, out_features, *, dtype):
        super().__init__()
        self.layer = nn.Linear(in_features, out_features, dtype=dtype)
        self.batches = 0

    def forward(self, x):
        self.batches += 1
        if self.batches > 3 and Path("broken").exists():
            raise RuntimeError("broken")
        return self.layer(x.flatten(1)).real
"""
OWN = ("model=custom", "model._target_=antenna.Net", "trusted_modules=[antenna]")
SHORT = ("max_steps=20", "signals.validation_every=10", "data.seed=3", "hydra.launcher.max_stack=1")
DIRECTORY = "my sweeps (1)/a=b,c"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "antenna.py").write_text(NETWORK)
    (tmp_path / "broken").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("antenna", None)


def printed(capsys) -> str:
    captured = capsys.readouterr()
    (line,) = re.findall(r"^cvtrain: to continue: (.*)$", captured.err, flags=re.MULTILINE)
    return line


def paste(commands: ForkedCommands, line: str, folder: Path, **environment: str) -> None:
    """Run a line with the words that a shell makes of it, in a process that has all imported."""
    split = subprocess.run(
        ["bash", "-c", rf"printf '%s\0' {line}"], capture_output=True, text=True, check=True
    )
    words = split.stdout.split("\0")[:-1]
    arguments = words[1 + [Path(word).name for word in words].index("cvtrain") :]
    ended = commands.run(folder, *arguments, environment=environment)
    assert ended.returncode == 0, ended.stderr


def test_a_sweep_of_ones_own_network_goes_on_by_the_printed_command(commands, folder, capsys):
    where = as_override("hydra.sweep.dir", DIRECTORY)
    assert main([*OWN, *SHORT, "seed=0,1", where, "-m"]) == 1
    assert set(statuses(folder / DIRECTORY).values()) == {"failed"}
    line = printed(capsys)
    assert "trusted_modules=[antenna]" in line
    (folder / "broken").unlink()
    paste(commands, line, folder)
    assert set(statuses(folder / DIRECTORY).values()) == {"finished"}
    # And once more, by what the second command recorded.
    paste(commands, line, folder)
    assert main([as_override("resume", DIRECTORY)]) == 2
    assert "sets trusted_modules, which is not taken from a file" in capsys.readouterr().err


def test_a_sweep_of_ones_own_files_goes_on_by_the_printed_command(commands, folder, capsys):
    group = folder / "my files" / "experiment"
    group.mkdir(parents=True)
    (group / "mine.yaml").write_text(
        "# @package _global_\n"
        "defaults:\n  - override /model: custom\n"
        "model: {_target_: antenna.Net}\n"
        "hydra: {mode: MULTIRUN, sweeper: {params: {seed: '0,1'}}}\n"
    )
    where = as_override("hydra.sweep.dir", DIRECTORY)
    arguments = ["--config-dir", "my files", "+experiment=mine", "trusted_modules=[antenna]"]
    assert main([*arguments, *SHORT, where]) == 1
    line = printed(capsys)
    assert f"--config-dir '{folder / 'my files'}'" in line
    (folder / "broken").unlink()
    paste(commands, line, folder)
    assert set(statuses(folder / DIRECTORY).values()) == {"finished"}


def test_a_sweep_by_another_configuration_goes_on_by_the_printed_command(commands, folder, capsys):
    files = folder / "conf of mine"
    files.mkdir()
    text = (Path(__file__).parents[2] / "conf" / "config.yaml").read_text(encoding="utf-8")
    (files / "mine.yaml").write_text(text, encoding="utf-8")
    for group in (Path(__file__).parents[2] / "conf").iterdir():
        if group.is_dir():
            (files / group.name).symlink_to(group)
    where = as_override("hydra.sweep.dir", DIRECTORY)
    flags = ["--config-path", str(files), "--config-name", "mine"]
    assert main([*flags, *OWN, *SHORT, "seed=0,1", where, "-m"]) == 1
    line = printed(capsys)
    assert "--config-name mine" in line
    (folder / "broken").unlink()
    paste(commands, line, folder)
    assert set(statuses(folder / DIRECTORY).values()) == {"finished"}


def test_what_an_environment_variable_says_is_typed_again_and_recorded_nowhere(
    commands, folder, capsys, monkeypatch
):
    monkeypatch.setenv("SEED_OF_DATA", "31415")
    where = as_override("hydra.sweep.dir", DIRECTORY)
    arguments = "data.seed='${oc.decode:${oc.env:SEED_OF_DATA}}'"
    assert main([*OWN, *SHORT, arguments, "seed=0,1", where, "-m"]) == 1
    recorded = json.loads((folder / DIRECTORY / "sweep.json").read_text(encoding="utf-8"))
    assert arguments in recorded["command"]
    line = printed(capsys)
    (folder / "broken").unlink()
    paste(commands, line, folder, SEED_OF_DATA="31415")
    assert set(statuses(folder / DIRECTORY).values()) == {"finished"}


@pytest.mark.parametrize("logger", [[], ["logger=mlflow", "logger.tracking_uri=sqlite:///own.db"]])
def test_a_run_of_ones_own_network_goes_on_by_the_printed_command(
    commands, folder, capsys, monkeypatch, logger
):
    (folder / "broken").unlink()

    def interrupted(job, *_):
        (point,) = job.points
        paused = point.config.model_copy(update={"pause_at": 7})
        train(type(job)((type(point)(0, paused, (), point.directory),), job.root))
        raise Interrupted(2)

    train = single_run.train
    monkeypatch.setattr(single_run, "train", interrupted)
    where = as_override("hydra.run.dir", DIRECTORY)
    assert main([*OWN, *SHORT[:-1], *logger, where]) == 130
    line = printed(capsys)
    assert ("tracking_uri" in line) == bool(logger)
    paste(commands, line, folder)
    content = json.loads((folder / DIRECTORY / "run.json").read_text(encoding="utf-8"))
    assert content["status"] == "finished"
    assert content["steps"] == 20
    assert content["config"]["logger"]["kind"] == ("mlflow" if logger else "none")
    assert check_config(content["config"]).trusted_modules == ("antenna",)


@pytest.mark.parametrize(
    ("command", "again"),
    [
        (["optimizer=sgd,adam", "hydra/launcher=ray"], []),
        (["seed=0,1", "trusted_modules=[a]", "on_error=stop"], ["trusted_modules=[a]"]),
        (["seed=0,1", "logger=wandb", "logger.project=x"], ["logger=wandb", "logger.project=x"]),
        (
            ["hydra/launcher=ray", "hydra.launcher.address=auto", "seed=0,1"],
            ["hydra/launcher=ray", "hydra.launcher.address=auto"],
        ),
        (["data.path='${oc.env:X}'", "seed=0,1"], ["data.path='${oc.env:X}'", "seed=0,1"]),
    ],
)
def test_what_is_typed_again_is_no_more_than_a_file_does_not_bring(command, again):
    assert typed_again(command) == again
