"""Bounds and baselines that a data set knows stand in the report, from run.json alone."""

from __future__ import annotations

import json
import shutil

import pytest

from cvtrain.analysis.load import load
from cvtrain.cli.train import main
from cvtrain.data.adding import adding
from cvtrain.data.modulation import modulation
from cvtrain.process.errors import InputError
from cvtrain.report.lr_sweep import report_retuning
from cvtrain.report.references import reference_section
from tests.analysis.synthetic import row, sweep_of

pytestmark = pytest.mark.usefixtures("blank_figures")

SMALL = (
    *("data=modulation", "data.formats=[BPSK,QPSK]", "data.symbols=4"),
    *("data.samples_per_format=50", "model=mlp", "model.hidden=[4]"),
    *("max_steps=10", "batch_size=16", "objective.scale=1,0.5", "seed=0,1", "-m"),
)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    directory = tmp_path_factory.mktemp("references") / "sweep"
    assert main([*SMALL, f"hydra.sweep.dir={directory}"]) == 0
    return directory


def edited(sweep, tmp_path, change):
    shutil.copytree(sweep, tmp_path / "sweep")
    for path in (tmp_path / "sweep").glob("*/run.json"):
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
    return load(tmp_path / "sweep")


def test_the_reference_arms_mean_stands_beside_the_bound_of_the_very_data(sweep):
    runs = load(sweep).runs
    section = reference_section(load(sweep))
    assert section is not None
    (table,) = section.tables
    mine, known = table.records
    arm = runs[runs["objective.scale"] == 1]
    assert mine["by"] == "SGD"
    assert mine["value"] == pytest.approx(arm["test/accuracy"].mean())
    assert known["by"] == "maximum likelihood"
    assert 0.5 < known["value"] <= 1
    (sentence,) = section.sentences
    assert sentence.sources == ("references 1", "references 2")
    worse = mine["value"] < known["value"]
    assert ("worse" if worse else "better") in sentence.text
    titles = [part.title for part in report_retuning(load(sweep)).sections]
    assert "Known bounds and baselines" in titles


def test_a_loss_is_compared_with_a_baseline_of_the_same_loss_alone(sweep, tmp_path):
    def of_a_loss(content):
        content["references"] = [{"tag": "test/loss", "name": "always 1", "value": 1e9}]
        content["config"]["objective"] |= {"loss": "complex_huber", "delta": 1.0}

    assert reference_section(edited(sweep, tmp_path, of_a_loss)) is None


def test_before_any_run_has_ended_there_is_nothing_to_compare(sweep, tmp_path):
    def interrupted(content):
        content["status"] = "interrupted"
        content["final"] = {t: v for t, v in content["final"].items() if "test/" not in t}

    changed = edited(sweep, tmp_path, interrupted)
    assert reference_section(changed) is None
    assert report_retuning(changed).sections


def test_where_nothing_is_known_nothing_is_said(sweep, tmp_path):
    def forget(content):
        del content["references"]

    assert reference_section(edited(sweep, tmp_path, forget)) is None


@pytest.mark.parametrize("reference", [1, {"tag": "a"}, {"tag": 1, "name": "b", "value": 1.0}])
def test_references_that_no_run_writes_are_refused_in_a_line(sweep, tmp_path, reference):
    def change(content):
        content["references"] = [reference]

    with pytest.raises(InputError, match=r"references\.0.*should (be|have)"):
        edited(sweep, tmp_path, change)


def test_data_sets_know_their_bounds():
    import torch

    dtype = torch.complex64
    bound = modulation(samples_per_format=10, dtype=dtype)
    assert [reference.name for reference in bound.references] == ["maximum likelihood"]
    baseline = adding(train_samples=20, validation_samples=5, test_samples=5, dtype=dtype)
    assert [reference.value for reference in baseline.references] == [pytest.approx(1 / 6)]


@pytest.mark.parametrize(
    ("tag", "value", "known", "words"),
    [
        ("test/accuracy", 0.9, 0.8, "better"),
        ("test/accuracy", 0.7, 0.8, "worse"),
        ("test/loss", 0.7, 0.8, "better"),
        ("test/loss", 0.9, 0.8, "worse"),
    ],
)
def test_more_accuracy_and_less_loss_are_better_than_what_is_known(tag, value, known, words):
    rows = []
    for scale, own in ((1.0, value), (0.5, 5.0)):
        made = row(0.1, 0.5, objective__scale=scale)
        rows.append(made | {tag: own, "references": ((tag, "a bound", known),)})
    section = reference_section(sweep_of(rows))
    (sentence,) = section.sentences
    assert sentence.text == f"SGD: {tag} {value:.4f}, {words} than a bound, {known:.4f}."


def test_networks_are_compared_with_the_bounds_of_their_own_data(sweep, tmp_path):
    def other_task(content):
        if content["config"]["objective"]["scale"] != 1:
            content["config"]["objective"]["scale"] = 1.0
            content["config"]["variant"] = "other"
            content["final"]["test/accuracy"] = 1.0
            content["references"] = [{"tag": "test/accuracy", "name": "a guess", "value": 0.1}]

    section = reference_section(edited(sweep, tmp_path, other_task))
    assert section is not None
    texts = [sentence.text for sentence in section.sentences]
    assert len(texts) == 2
    assert "variant=other" not in texts[0] and "maximum likelihood" in texts[0]
    assert "variant=other" in texts[1] and "a guess, 0.1000" in texts[1]
