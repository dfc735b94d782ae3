"""The ablation suite as one command: what it runs again, and what it does not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from cvtrain.cli import reproduce as module
from cvtrain.cli.reproduce import chosen, complete, main
from cvtrain.config.compose import configuration_folder
from cvtrain.experiments.claims import TOO_SMALL
from cvtrain.experiments.registry import Experiment, experiment, suite

pytestmark = pytest.mark.usefixtures("blank_figures")

EXPERIMENT_FILES = Path(configuration_folder()) / "experiment"
SMALL = ("seed=0", "max_steps=10", "model.hidden=[4]", "signals.scalars_every=10")
SWEEP = (*SMALL, "lr_octave=0", "optimizer=sgd")


def quick_suite(**quick_forms: tuple[str, ...]) -> dict[str, Experiment]:
    """Experiments of the suite with other quick forms."""
    return {name: replace(experiment(name), quick=quick) for name, quick in quick_forms.items()}


@pytest.fixture
def small(monkeypatch):
    """A suite of two short experiments."""
    short = quick_suite(weight_decay=SMALL, sweep=SWEEP)
    monkeypatch.setattr(module, "suite", lambda: short)
    return short


def test_every_experiment_of_the_suite_is_there():
    files = {path.stem for path in EXPERIMENT_FILES.glob("*.yaml")}
    # `article` is one step by hand, `conjugation` never learns, `search` compares nothing.
    assert files - set(suite()) == {"article", "conjugation", "search"}
    assert set(suite()) <= files


def test_what_cannot_be_run_is_left_out_with_the_reason_or_refused_if_it_is_wanted(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    large = {"complex_vs_real", "copy_memory", "equalizer", "segmentation"}
    measured = {"mri": "data/mri/cartesian_ksp.npy", "mnist": "data/mnist/t10k-images-idx3-ubyte"}
    assert set(suite()) - set(chosen(suite(), [], quick=True)) == large | set(measured)
    assert set(suite()) - set(chosen(suite(), [], quick=False)) == set(measured)
    lines = capsys.readouterr().err.splitlines()
    for name, file in measured.items():
        assert sum(f"{name} is left out: {file} is missing" in line for line in lines) == 2
    assert main(["mri"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["--quick", "equalizer"]) == 2
    assert "equalizer: it has no quick form" in capsys.readouterr().err
    for file in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte.gz"):
        (tmp_path / "data" / "mnist").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / "mnist" / file).touch()
    assert "mnist" in chosen(suite(), [], quick=False)


@pytest.mark.parametrize("name", sorted(path.stem for path in EXPERIMENT_FILES.glob("*.yaml")))
def test_an_experiment_opens_with_claim_expectation_time_and_command(name):
    text = (EXPERIMENT_FILES / f"{name}.yaml").read_text(encoding="utf-8")
    places = [text.index(f"# {word}:") for word in ("Claim", "Expected", "Takes", "Command")]
    assert places == sorted(places)
    assert f"scripts/cvtrain +experiment={name}" in text
    assert yaml.safe_load(text)


def test_an_unknown_experiment_is_one_line_and_status_2(tmp_path, capsys):
    assert main(["swep", "--folder", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "swep: should be an experiment of the suite" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_what_is_complete_is_not_run_again_and_all_of_it_is_on_one_page(small, tmp_path, capsys):
    arguments = ["--quick", "--folder", str(tmp_path)]
    assert main(arguments) == 0
    capsys.readouterr()
    records = sorted(tmp_path.glob("*/*/run.json"))
    written = [path.stat().st_mtime_ns for path in records]
    summary = json.loads((tmp_path / "report" / "summary.json").read_text(encoding="utf-8"))
    first, *others = summary["verdict"]
    assert [text.partition(":")[0] for text in others] == ["weight_decay", "sweep"]
    assert first == "Of 7 claims 2 hold, 0 do not, 5 are inconclusive. [claims]"
    judged = json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))
    assert {row["why"] for row in judged["claims"] if row["value"] is not None} == {TOO_SMALL}
    listed = (tmp_path / "claims.md").read_text(encoding="utf-8").replace("\\", "")
    assert all(f"cvtrain +experiment={name}" in listed for name in small)
    (tmp_path / "claims.json").unlink()
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert shown.err.count("complete already") == 2
    assert first.removesuffix(" [claims]") in shown.out
    assert json.loads((tmp_path / "claims.json").read_text(encoding="utf-8")) == judged
    assert [path.stat().st_mtime_ns for path in records] == written


def test_an_experiment_that_is_not_complete_is_gone_on_with(small, tmp_path, capsys):
    arguments = ["sweep", "--quick", "--folder", str(tmp_path)]
    assert main(arguments) == 0
    record, finished_run, *_ = (tmp_path / "sweep").glob("*/run.json")
    written = finished_run.stat().st_mtime_ns
    content = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps(content | {"status": "interrupted"}), encoding="utf-8")
    command = ["+experiment=sweep", *SWEEP]
    assert complete(tmp_path, "sweep", command) is None
    assert main(arguments) == 0
    assert complete(tmp_path, "sweep", command) == tmp_path / "sweep"
    assert json.loads(record.read_text(encoding="utf-8"))["status"] == "finished"
    assert finished_run.stat().st_mtime_ns == written


def test_what_another_command_made_is_kept_and_not_taken_for_this_one(
    small, tmp_path, capsys, monkeypatch
):
    arguments = ["sweep", "--quick", "--folder", str(tmp_path)]
    assert main(arguments) == 0
    longer = tuple("max_steps=12" if text == "max_steps=10" else text for text in SWEEP)
    monkeypatch.setattr(module, "suite", lambda: quick_suite(sweep=longer))
    assert main(arguments) == 0
    command = ["+experiment=sweep", *longer]
    assert complete(tmp_path, "sweep", command) == tmp_path / "sweep_2"
    assert (tmp_path / "sweep").exists()


def test_an_experiment_that_fails_stops_no_other_and_is_named(small, tmp_path, capsys, monkeypatch):
    broken = quick_suite(weight_decay=("max_steps=-1",), sweep=SWEEP)
    monkeypatch.setattr(module, "suite", lambda: broken)
    assert main(["--quick", "--folder", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "not as claimed, or failed: weight_decay" in shown.err
    judged = json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))["claims"]
    why = {row["why"] for row in judged if row["experiment"] == "weight_decay"}
    assert why == {"the experiment was not completed"}
    command = ["+experiment=sweep", *SWEEP]
    assert complete(tmp_path, "sweep", command) is not None


def test_a_signal_ends_the_suite_with_its_status(small, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("cvtrain.cli.train.main", lambda arguments: 130)
    assert main(["--quick", "--folder", str(tmp_path)]) == 130
    assert "the same command continues from here" in capsys.readouterr().err
