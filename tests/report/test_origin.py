"""What a report says of where its runs come from, so that it can be mailed."""

from __future__ import annotations

import json

import pytest

from cvtrain.analysis.load import load
from cvtrain.cli.train import main as train
from cvtrain.experiments.publish import publish, report_on
from cvtrain.report.origin import origin, runs_table, target_name
from cvtrain.runs.versions import machine
from tests.analysis.synthetic import row, sweep_of

pytestmark = pytest.mark.usefixtures("blank_figures")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("origin") / "sweep"
    words = ["+experiment=sweep", "optimizer=sgd", "objective.scale=1", "convention=pytorch"]
    words += ["null_arm=false", "seed=0,1", "lr_octave=-1,0", "max_steps=3", "model.hidden=[8]"]
    assert train([*words, f"hydra.sweep.dir={root}"]) == 0
    return root


def test_a_sweep_says_what_was_run_on_what_and_the_command(trained):
    summary = json.loads((trained / "report" / "summary.json").read_text(encoding="utf-8"))
    assert summary["schema"] == 2
    facts = summary["origin"]
    assert facts["sentence"] == (
        "digits_fft (1,078 training, 360 validation and 359 test samples), learned by mixed_mlp"
        f" ({facts['parameters'][0]['complex']:,} complex and"
        f" {facts['parameters'][0]['real']:,} real parameters) with SGD: 4 runs of 3 steps in"
        " batches of 64; seeds 0 to 1, one split of the data."
    )
    assert facts["command"].startswith("cvtrain +experiment=sweep optimizer=sgd")
    assert facts["command"].endswith(" -m")  # without it several values are refused
    (made_on,) = facts["machines"]
    assert made_on.items() >= machine().items()
    assert made_on["code_path"]
    (versions,) = facts["versions"]
    assert {"cvtrain", "torch"} <= set(versions)
    assert (facts["runs"], facts["steps"], facts["seeds"]) == (4, [3], [0, 1])
    assert facts["seconds"] > 0


def test_the_page_and_its_text_have_the_same_facts(trained):
    facts = json.loads((trained / "report" / "summary.json").read_text(encoding="utf-8"))["origin"]
    for name in ("index.html", "report.md", "origin.tex"):
        text = (trained / "report" / name).read_text(encoding="utf-8")
        assert "1,078 training" in text
        assert facts["started"][:10] in text
        assert facts["machines"][0]["code_path"] in text


def test_the_table_of_several_sweeps_has_a_row_of_each(trained):
    one = report_on(load(trained)).origin
    (row, again) = runs_table({"a": one, "b": one}).records
    assert (row["sweep"], again["sweep"]) == ("a", "b")
    assert row["data"] == "digits_fft" and row["samples"] == "1,078/360/359"
    assert (row["runs"], row["seeds"], row["splits"]) == ("4", 2, 1)
    assert machine()["processor"] in row["machine"]
    assert row["when"].startswith(f"{one.facts['started'][:10]} ")
    assert row["command"].startswith("cvtrain +experiment=sweep optimizer=sgd")


def test_a_single_run_has_its_command_too(command):
    outcome = command("max_steps=2", "model.hidden=[4]", "optimizer.lr=0.5")
    assert outcome.status == 0
    (path,) = outcome.directory.glob("outputs/*/*/run.json")
    publish(path.parent)
    summary = json.loads((path.parent / "report" / "summary.json").read_text(encoding="utf-8"))
    assert summary["origin"]["command"] == (
        "cvtrain max_steps=2 'model.hidden=[4]' optimizer.lr=0.5"
    )


def test_a_report_on_nothing_has_no_origin():
    rows = [row(0.1) | {"status": "missing"}]
    assert origin(sweep_of(rows)) is None
    assert report_on(sweep_of(rows)).origin is None


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("cvtrain.data.digits_fft.digits_fft", "digits_fft"),
        ("cvtrain.models.mlp.Mlp", "mlp"),
        ("mylab.networks.TwoLayers", "TwoLayers"),
        ("torchcvnn.models.vit.VisionTransformer", "VisionTransformer"),
        ("this_process.MyNet_3f9a1c2b", "MyNet"),
    ],
)
def test_what_is_a_researchers_own_has_the_name_that_it_has_in_his_code(target, name):
    assert target_name(target) == name
