"""Experiments are found, not listed: one file and one YAML make a new one."""

from __future__ import annotations

import json

import pytest

from cvtrain import experiments
from cvtrain.analysis.load import load
from cvtrain.cli.train import main
from cvtrain.experiments.publish import FORMER_NAMES, report_on
from cvtrain.experiments.registry import check_analysis, experiment, names, suite
from cvtrain.process.errors import InputError
from tests.analysis.synthetic import write_run

MODULE = '''
"""A new experiment."""
from cvtrain.experiments.registry import Experiment
from cvtrain.report.document import Document

def report(sweep):
    return Document(title=f"{len(sweep.runs)} own runs", verdict=(), sections=())

def variants():
    return [["variant=low", "optimizer.lr=0.01"], ["variant=high", "optimizer.lr=0.02"]]

EXPERIMENT = Experiment(report, variants, quick=("seed=0",))
'''
YAML = """
# @package _global_
defaults:
  - override /data: article
  - override /model: linear
  - override /objective: complex_mse
analysis: own
batch_size: null
max_steps: 2
hydra:
  mode: MULTIRUN
  sweeper:
    params: {seed: "0,1"}
    variants: ${variants:own}
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "own.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "own.yaml").write_text(YAML, encoding="utf-8")
    monkeypatch.setattr(experiments, "__path__", [*experiments.__path__, str(tmp_path / "modules")])
    return tmp_path


def test_one_file_and_one_yaml_make_an_experiment(own):
    assert "own" in names()
    assert suite()["own"].quick == ("seed=0",)
    arguments = ["--config-dir", str(own / "conf"), "+experiment=own"]
    assert main([*arguments, f"hydra.sweep.dir={own / 'sweep'}"]) == 0
    runs = load(own / "sweep").runs
    assert sorted(runs["variant"]) == ["high", "high", "low", "low"]
    assert "4 own runs" in (own / "sweep/report/index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["nosuch", "sweep", "registry", "os", "..", ""])
def test_an_analysis_without_a_report_is_refused_with_those_that_there_are(name):
    with pytest.raises(InputError, match=r"should be one of .*laws.*stability"):
        check_analysis(name)


def test_an_unknown_experiment_is_refused_with_those_that_there_are():
    with pytest.raises(InputError, match=r"nosuch: should be an experiment, one of sweep, "):
        experiment("nosuch")


def test_the_commands_line_names_the_reports(command):
    outcome = command("analysis=nosuch")
    assert outcome.status == 2
    assert "analysis=nosuch: should be one of activations" in outcome.err
    assert not outcome.made


def test_directories_of_schema_1_name_their_reports_as_then(tmp_path):
    """`semantics` and `interaction` stood for what are `split_vs_modulus` and six experiments."""
    final = {"val/loss": 0.1, "test/loss": 0.1, "test/accuracy": 0.9}
    write_run(tmp_path / "0", final=final, analysis="interaction", variant="clipping; a; b")
    record = json.loads((tmp_path / "0" / "run.json").read_text(encoding="utf-8"))
    assert record["config"]["analysis"] == "interaction"
    assert report_on(load(tmp_path)).title == "Half of the gradient, and clipping"
    assert FORMER_NAMES["semantics"] in names()
