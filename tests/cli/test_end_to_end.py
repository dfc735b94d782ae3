"""The command as a user calls it, in a process of its own and an empty directory.

They have everything imported already, but for a report that is pasted; test_pasted_commands.py
starts a run from nothing.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import torch

import cvtrain
from cvtrain.cli.main import main
from cvtrain.models import MixedMlp
from cvtrain.runs.checkpoint import load_checkpoint
from tests.forked_command import ForkedCommands

TINY = ("model.hidden=[8]", "signals.validation_every=5", "signals.scalars_every=5")
SWEEP = ("+experiment=sweep", *TINY, "optimizer=sgd", "lr_octave=0,1", "seed=0,1", "max_steps=12")

FRAGILE = '''
import torch
from cvtrain.models import MixedMlp

class Fragile(MixedMlp):
    """Fails in its third training step, if its first weight is above a number."""

    def __init__(self, in_features: int, out_features: int, *, dtype: torch.dtype):
        super().__init__(in_features, out_features, hidden=[8], dtype=dtype)
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        if self.calls == 3 and self.drawn == BAD:
            raise RuntimeError("the antenna fell off")
        return super().forward(x)
'''


def only(directory: Path) -> Path:
    (path,) = directory.iterdir()
    return path


def content(run_directory: Path) -> dict[str, object]:
    return json.loads((run_directory / "run.json").read_text())


@pytest.fixture(scope="module")
def sweep(commands, tmp_path_factory):
    root = tmp_path_factory.mktemp("sweep")
    done = commands.run(root, *SWEEP)
    assert done.returncode == 0, done.stderr
    return done, only(root / "outputs" / "sweep")


def test_the_command_alone_trains_one_run_and_shows_its_result(commands, tmp_path):
    done = commands.run(tmp_path, *TINY, "max_steps=12", "signals.per_parameter=true")
    assert done.returncode == 0, done.stderr
    for word in ("mixed", "complex and", "w.grad = 2 ∂L/∂w*", "val/loss", "test/accuracy"):
        assert word in " ".join(done.stdout.split())
    directory = only(tmp_path / "outputs" / "default")
    assert content(directory)["status"] == "finished"
    assert list(directory.glob("events.out.tfevents.*"))
    assert (directory / ".hydra" / "config.yaml").exists()
    weights, step = load_checkpoint(directory / "checkpoints" / "last.ckpt")
    assert step == 12
    plain = MixedMlp(64, 10, hidden=[8], dtype=torch.complex64)
    plain.load_state_dict(weights)
    assert plain(torch.zeros(2, 8, 8, dtype=torch.complex64)).shape == (2, 10)


@pytest.mark.parametrize(
    ("convention", "transformed", "weight"),
    [
        ("pytorch", "2+2j", "-1-2j"),
        ("wirtinger", "1+1j", "0-1j"),
        ("unconjugated", "2-2j", "-1+2j"),
    ],
)
def test_the_article_is_answered_in_its_own_numbers(
    commands, tmp_path, convention, transformed, weight
):
    done = commands.run(tmp_path, "+experiment=article", f"convention={convention}")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    cells = {row[0]: row[1] for row in rows if len(row) > 1}
    assert cells["train/loss"] == "1"
    assert cells["grad/weight[0,0]"] == "2+2j"
    assert cells["optimizer_grad/weight[0,0]"] == transformed
    assert cells["weight/weight[0,0]"] == weight


def test_a_sweep_ends_with_a_summary_and_a_picture(sweep):
    done, directory = sweep
    for word in (
        "½ in the loss: scale ½, pytorch",
        "SGD with ½ in the loss: nothing changes but the learning rate",
    ):
        assert word in " ".join(done.stdout.split())
    written = {path.name for path in (directory / "report").iterdir()}
    assert {"index.html", "report.md", "summary.json", "learning_rates.svg"} <= written
    assert {"answers.csv", "registered.svg"} <= written
    assert {"sgd_differences.csv", "sgd_differences.tex", "prices.png"} <= written
    assert "20 of 20 runs" in done.stderr


def last_commands(output: str) -> dict[str, str]:
    """The commands of the last three lines by what they are for; of an end of at most 20 lines."""
    lines = output.splitlines()
    assert len(lines) <= 20 + 4  # the first four of a single run say what it is
    return dict(re.split(r":\s+", line, maxsplit=1) for line in lines[-3:])


def test_the_last_three_lines_of_a_sweep_are_commands_that_work_when_pasted(commands, sweep):
    done, directory = sweep
    root = directory.parents[2]
    printed = last_commands(done.stdout)
    assert list(printed) == ["tables", "look", "evaluate"]  # "look": test_strange_directories.py
    bare = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    shell = ["bash", "--noprofile", "--norc", "-c", printed["tables"]]
    pasted = subprocess.run(shell, cwd=root, env=bare, capture_output=True, text=True, check=False)
    assert pasted.returncode == 0, pasted.stderr
    assert "test accuracy" in pasted.stdout
    words = shlex.split(printed["evaluate"])
    assert words[: words.index("cvtrain") + 1] == shlex.split(printed["tables"])[:3]
    evaluated = commands.run(root, *words[words.index("cvtrain") + 1 :])
    assert evaluated.returncode == 0, evaluated.stderr
    assert "accuracy" in evaluated.stdout


def test_the_last_three_lines_of_a_run_are_commands_that_work(command, capsys):
    done = command(*TINY, "max_steps=5")
    commands = last_commands(done.out)
    assert list(commands) == ["report", "look", "evaluate"]
    capsys.readouterr()
    for purpose in ("report", "evaluate"):
        words = shlex.split(commands[purpose])
        assert main(words[words.index("cvtrain") + 1 :]) == 0
        assert "accuracy" in capsys.readouterr().out


def test_a_sweep_is_described_and_every_run_has_its_files(sweep):
    _, directory = sweep
    points = json.loads((directory / "sweep.json").read_text())["points"]
    assert len(points) == 2 * 2 * 2 * 2 + 4
    for point in points:
        inside = directory / point["directory"]
        assert content(inside)["id"] == point["id"]
        for name in (".hydra/overrides.yaml", "metrics.csv", "checkpoints/last.ckpt"):
            assert (inside / name).exists()
    assert not (directory / ".lock").exists()


def test_half_the_objective_at_twice_the_rate_is_the_same_run_in_every_number(sweep):
    runs = cvtrain.load(sweep[1]).runs
    runs = runs[(runs["init_jitter"] == 0) & (runs["convention.scale"] == 1)]
    whole = runs[(runs["objective.scale"] == 1) & (runs["lr_octave"] == 0)].set_index("seed")
    half = runs[(runs["objective.scale"] == 0.5) & (runs["lr_octave"] == 1)].set_index("seed")
    for tag in ("train/loss", "val/loss", "test/loss", "weight/norm", "update/norm"):
        assert whole[tag].equals(half[tag]), tag
    assert whole["grad/norm"].equals(2 * half["grad/norm"])
    textbook = cvtrain.load(sweep[1]).runs.query("`convention.scale` == 0.5 and lr_octave == 1")
    assert not textbook.query("`objective.scale` == 1")["val/loss"].isin(whole["val/loss"]).any()


def test_equal_commands_give_equal_bytes(commands, sweep, tmp_path):
    assert commands.run(tmp_path, *SWEEP).returncode == 0
    again, first = only(tmp_path / "outputs" / "sweep"), sweep[1]
    for path in sorted(first.glob("*/metrics.csv")):
        assert path.read_bytes() == (again / path.relative_to(first)).read_bytes()


def fragile(
    commands: ForkedCommands, root: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    # The seed is known by the weight that it draws.
    config = cvtrain.configure("seed=1", "model.hidden=[8]")
    from cvtrain.data.load import load_dataset
    from cvtrain.training.network import build_model

    bad = build_model(config, load_dataset(config)).state_dict()["trunk.0.weight"][0, 0]
    source = FRAGILE.replace("self.drawn == BAD", f"abs(self.drawn - ({complex(bad)})) < 1e-6")
    source = source.replace(
        "self.calls = 0", "self.calls, self.drawn = 0, complex(self.trunk[0].weight[0, 0])"
    )
    (root / "antenna.py").write_text(source)
    return commands.run(
        root,
        "model=custom",
        "model._target_=antenna.Fragile",
        "trusted_modules=[antenna]",
        "max_steps=6",
        "seed=0,1,2",
        "-m",
        *arguments,
    )


def test_a_failed_run_does_not_stop_the_others(commands, tmp_path):
    done = fragile(commands, tmp_path)
    assert done.returncode == 1
    assert "1 of 3 runs failed" in done.stderr
    assert "RuntimeError: the antenna fell off" in done.stdout
    assert "Traceback" not in done.stderr
    directory = only(tmp_path / "outputs" / "sweep")
    statuses = [content(directory / f"{n}_seed={n}")["status"] for n in range(3)]
    assert statuses == ["finished", "failed", "finished"]
    assert "3 runs one by one: the network refuses to be stacked" in done.stderr
    assert "antenna.py" in (directory / "1_seed=1" / "traceback.txt").read_text()


def test_a_failed_run_stops_the_sweep_where_that_is_asked_for(commands, tmp_path):
    done = fragile(commands, tmp_path, "on_error=stop")
    assert done.returncode == 1
    directory = only(tmp_path / "outputs" / "sweep")
    assert not (directory / "2_seed=2").exists()
    assert content(directory / "1_seed=1")["status"] == "failed"


def test_divergence_is_a_result(commands, tmp_path):
    done = commands.run(tmp_path, "optimizer.lr=1e30", "max_steps=12", *TINY)
    assert done.returncode == 0, done.stderr
    directory = only(tmp_path / "outputs" / "default")
    record = content(directory)
    assert record["status"] == "diverged"
    assert record["steps"] == record["diverged_at"] < 12
    weights, _ = load_checkpoint(directory / "checkpoints" / "last.ckpt")
    assert all(weight.isfinite().all() for weight in weights.values())


def test_a_plan_is_shown_and_nothing_is_made(commands, tmp_path):
    done = commands.run(tmp_path, *SWEEP, "plan=true")
    assert done.returncode == 0, done.stderr
    assert "20 points" in done.stdout
    assert "MB" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sweep", [(), ("seed=0,1", "-m")])
def test_a_configuration_of_ones_own_is_taken_in_runs_and_sweeps(commands, tmp_path, sweep):
    (tmp_path / "mine").mkdir()
    text = "defaults: [config, _self_]\nmax_steps: 3\nmodel: {hidden: [8]}\n"
    (tmp_path / "mine" / "short.yaml").write_text(text)
    done = commands.run(tmp_path, "--config-dir", "mine", "-cn", "short", *sweep)
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("run.json")]
    assert [record["steps"] for record in records] == [3] * max(1, len(sweep))


def test_a_point_of_a_stacked_sweep_and_the_run_alone_agree_to_four_digits(
    commands, sweep, tmp_path
):
    alone = commands.run(tmp_path, *TINY, "max_steps=12", "optimizer=sgd", "lr_octave=0", "seed=0")
    assert alone.returncode == 0, alone.stderr
    directory = only(tmp_path / "outputs" / "default")
    (twin,) = sweep[1].glob("*scale=1,convention=pytorch,lr_octave=0,seed=0")
    assert content(directory)["id"] == content(twin)["id"]
    metrics, metrics_of_twin = (pd.read_csv(path / "metrics.csv") for path in (directory, twin))
    pd.testing.assert_frame_equal(metrics, metrics_of_twin, rtol=1e-4, atol=1e-6)


def test_a_point_of_a_sweep_trained_singly_and_the_run_alone_are_the_same_bytes(commands, tmp_path):
    common = (*TINY, "max_steps=12", "optimizer=sgd")
    assert commands.run(tmp_path, *common, "seed=0").returncode == 0
    assert commands.run(tmp_path, *common, "seed=0,1", "-m", "hydra/launcher=basic").returncode == 0
    directory = only(tmp_path / "outputs" / "default")
    twin = only(tmp_path / "outputs" / "sweep") / "0_seed=0"
    assert (directory / "metrics.csv").read_bytes() == (twin / "metrics.csv").read_bytes()


def test_a_second_sweep_into_a_directory_gets_its_own(commands, tmp_path):
    arguments = ("hydra.sweep.dir=s", "seed=0,1", "-m", "max_steps=2", *TINY)
    assert [commands.run(tmp_path, *arguments).returncode for _ in range(2)] == [0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s", "s_2"]
