"""`python -m cvtrain report` on what sweeps left, whole or not."""

from __future__ import annotations

import json
from itertools import product
from shutil import copytree

import pytest

from cvtrain.cli.report import main
from cvtrain.cli.train import main as train
from tests.analysis.synthetic import HALVED, describe_sweep, write_run

pytestmark = pytest.mark.usefixtures("blank_figures")

FINAL = {
    "val/loss": 0.5,
    "test/loss": 0.5,
    "test/accuracy": 0.9,
    "convergence/initial/loss": 2.0,
    "convergence/steps_to_target": 10.0,
}


@pytest.fixture
def sweep(tmp_path):
    describe_sweep(tmp_path / "sweep", "0", "1", "2")
    write_run(tmp_path / "sweep" / "0", final=FINAL)
    write_run(tmp_path / "sweep" / "1", final=FINAL, **HALVED)
    return tmp_path / "sweep"


def test_a_sweep_that_has_not_ended_is_summed_up(sweep, capsys):
    assert main([str(sweep)]) == 0
    out = capsys.readouterr().out
    assert "1 of 3 runs have not begun" in out
    assert "scale ½, pytorch" in out


def test_a_sweep_of_which_nothing_has_begun_is_told(tmp_path, capsys):
    describe_sweep(tmp_path / "sweep", "0", "1")
    assert main([str(tmp_path / "sweep")]) == 0
    assert "2 of 2 runs have not begun" in capsys.readouterr().out


def test_a_report_is_not_written_through_a_link_that_leads_out(sweep, tmp_path, capsys):
    (tmp_path / "elsewhere").mkdir()
    (sweep / "report").symlink_to(tmp_path / "elsewhere")
    assert main([str(sweep)]) == 2
    assert "is a link out of" in capsys.readouterr().err
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_page_that_cannot_be_written_is_one_line_before_anything_is_printed(
    sweep, tmp_path, capsys
):
    copytree(sweep, tmp_path / "other")
    (tmp_path / "file").write_text("mine")
    folders = [str(sweep), str(tmp_path / "other"), "--folder", str(tmp_path / "file")]
    assert main(folders) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert f"{tmp_path / 'file'}: cannot be written" in printed.err
    assert (tmp_path / "file").read_text() == "mine"


def test_a_damaged_run_leaves_the_earlier_report_whole(sweep, capsys):
    rows = [(step, {"grad/real_norm": 1.25 + step}) for step in range(3)]
    for number, (seed, convention) in enumerate(product((2, 3), ({}, HALVED)), start=3):
        write_run(sweep / str(number), final=FINAL, rows=rows, seed=seed, **convention)
    describe_sweep(sweep, *"0123456")
    assert main([str(sweep)]) == 0
    before = {path: path.read_bytes() for path in sweep.rglob("*") if path.is_file()}
    assert any("aggregate" in path.parts for path in before)
    table = sweep / "6" / "metrics.csv"
    table.write_bytes(table.read_bytes().replace(b"2.25", b"2.2x"))
    assert main([str(sweep)]) == 2
    assert "6/metrics.csv: cannot be read" in capsys.readouterr().err
    after = {path: path.read_bytes() for path in sweep.rglob("*") if path.is_file()}
    assert {path for path in after if after[path] != before.get(path)} == {table}
    assert after.keys() == before.keys()


def test_several_sweeps_are_told_one_after_another(sweep, tmp_path, capsys):
    write_run(tmp_path / "other" / "0", final=FINAL, optimizer___target_="torch.optim.Adam")
    assert main([str(sweep), str(tmp_path / "other")]) == 0
    out = capsys.readouterr().out
    assert out.index("SGD") < out.index("Adam")


def test_an_experiment_is_held_against_its_claim_again(tmp_path, capsys):
    directory = tmp_path / "sweep"
    small = ("seed=0", "max_steps=20", "model.hidden=[4]", "signals.scalars_every=20")
    assert train(["+experiment=weight_decay", *small, f"hydra.sweep.dir={directory}"]) == 0
    said = capsys.readouterr().out
    assert main([str(directory)]) == 0
    assert capsys.readouterr().out == said
    for record in directory.glob("*decay halved*/run.json".replace(" ", "_")):
        record.write_text(json.dumps(json.loads(record.read_text()) | {"status": "diverged"}))
    assert main([str(directory)]) == 1
    assert "claims do not hold" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda sweep: (sweep / "0" / "run.json").write_text("{"), "0/run.json: cannot be read"),
        (lambda sweep: (sweep / "0" / "run.json").write_text("[]"), "schema=None: should be 1"),
        (lambda sweep: (sweep / "sweep.json").write_text('{"schema": 3}'), "sweep.json: schema=3:"),
        (lambda sweep: (sweep / "sweep.json").write_bytes(b"\xff"), "sweep.json: cannot be read"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_status_2(sweep, capsys, spoil, message):
    spoil(sweep)
    assert main([str(sweep)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_a_directory_without_runs_is_one_line_and_status_2(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "should be the directory of a sweep or run" in capsys.readouterr().err
    assert main([str(tmp_path / "missing")]) == 2
    capsys.readouterr()


def test_runs_of_several_experiments_are_not_mixed(tmp_path, capsys):
    for number, analysis in enumerate(("laws", "lms")):
        write_run(tmp_path / "mixed" / str(number), final=FINAL, analysis=analysis)
    assert main([str(tmp_path / "mixed")]) == 2
    assert "of several experiments: laws, lms" in capsys.readouterr().err
