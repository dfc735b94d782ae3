"""What a report makes of files that are not whole: it says so, and changes no verdict."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from cvtrain.analysis.load import load
from cvtrain.cli.report import main
from cvtrain.cli.train import main as train
from cvtrain.runs.tensorboard.events import ends_with_a_record
from tests.analysis.synthetic import HALVED, describe_sweep, write_run

pytestmark = pytest.mark.usefixtures("blank_figures")

SMALL = ("seed=0,1", "lr_octave=-1,0", "max_steps=20", "model.hidden=[4]", "optimizer=sgd")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("damage") / "sweep"
    assert train(["+experiment=sweep", *SMALL, f"hydra.sweep.dir={directory}"]) == 0
    return directory


def files(sweep: Path) -> tuple[Path, Path]:
    run = sorted(sweep.glob("00*"))[0]
    return run / "metrics.csv", next(run.glob("events.out.tfevents.*"))


def verdict(sweep: Path) -> list[str]:
    return json.loads((sweep / "report" / "summary.json").read_text(encoding="utf-8"))["verdict"]


def test_whole_runs_have_no_note(trained, capsys):
    assert main([str(trained)]) == 0
    assert "cut short" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("which", "name", "half"),
    [
        (0, "metrics.csv", False),
        (1, "the event file", True),
        pytest.param(0, "metrics.csv", True, marks=pytest.mark.long),
        pytest.param(1, "the event file", False, marks=pytest.mark.long),
    ],
)
def test_a_file_cut_in_half_or_by_a_byte_is_named_and_changes_no_verdict(
    trained, capsys, which, name, half
):
    path = files(trained)[which]
    whole = path.read_bytes()
    expected = verdict(trained)
    try:
        path.write_bytes(whole[: len(whole) // 2 if half else -1])
        assert main([str(trained)]) == 0
        printed = " ".join(capsys.readouterr().out.split())
        assert f"{name} of 1 of 20 ended runs is cut short" in printed
        assert path.parent.name[:20] in printed
        assert verdict(trained) == expected
    finally:
        path.write_bytes(whole)


def test_rows_of_a_table_cut_anywhere_are_those_before_the_cut(trained):
    path, events = files(trained)
    whole = path.read_bytes()
    rows = whole.split(b"\r\n")[1:-1]
    draw = random.Random(0)
    try:
        for offset in [0, *(draw.randrange(len(whole)) for _ in range(40))]:
            path.write_bytes(whole[:offset])
            left = max(0, whole[:offset].count(b"\r\n") - 1)
            steps = load(path.parent).curves["step"].unique()
            assert len(steps) == len({row.split(b",")[0] for row in rows[:left]})
    finally:
        path.write_bytes(whole)
    assert ends_with_a_record(events)


def test_one_run_alone_has_a_report_that_compares_nothing(tmp_path, capsys):
    assert train([*SMALL[2:4], f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    assert main([str(tmp_path / "run")]) == 0
    assert "nothing to compare" in capsys.readouterr().out


def test_equal_errors_of_runs_are_told_once(tmp_path, capsys):
    for seed in range(3):
        write_run(tmp_path / str(seed), final={"val/loss": 1.0}, seed=seed)
    for seed, error in enumerate(("KeyError: 'a'", "KeyError: 'a'", "ValueError: b")):
        path = tmp_path / str(seed) / "run.json"
        record = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(record | {"status": "failed", "error": error}), encoding="utf-8")
    assert main([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "failed: 0 and 1 more: KeyError: 'a'\n" in out
    assert "failed: 2: ValueError: b\n" in out


def test_where_every_run_diverged_nothing_is_claimed(tmp_path, capsys):
    for number, (arm, seed) in enumerate((arm, seed) for arm in ({}, HALVED) for seed in range(12)):
        final = {"val/loss": 9.0, "test/accuracy": 0.1, "convergence/initial/loss": 2.0}
        write_run(tmp_path / str(number), "diverged", final, seed=seed, **arm)
    describe_sweep(tmp_path, *map(str, range(24)))
    assert main([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "every run diverged" in out
    assert "fails at each learning rate; smaller ones" in " ".join(out.split())
    assert "more steps or larger rates" not in " ".join(out.split())
    for claim in ("relabelling", "absorbed", "real difference"):
        assert claim not in " ".join(verdict(tmp_path))
