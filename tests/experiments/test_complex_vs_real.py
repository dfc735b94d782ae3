"""The experiment `complex_vs_real`: twins compared, and the factor 2 in either kind of network."""

from __future__ import annotations

import shutil

import pytest

from cvtrain.analysis.load import load
from cvtrain.cli.report import main as report
from cvtrain.cli.train import main
from cvtrain.experiments.complex_vs_real import report_complex_vs_real

pytestmark = pytest.mark.usefixtures("blank_figures")

SMALL = (
    *("+experiment=complex_vs_real", "max_steps=12", "seed=0,1", "lr_octave=0,1"),
    *("signals.validation_every=6", "signals.scalars_every=6"),
)
TASK = ["variant='equalizer'", "data=equalizer", "objective=complex_mse", "model.hidden=[4]"]


def variants(*models: tuple[str, ...]) -> str:
    listed = [[*TASK, "optimizer=sgd", *model] for model in models]
    text = ",".join("[" + ",".join(f'"{override}"' for override in one) + "]" for one in listed)
    return f"hydra.sweeper.variants=[{text}]"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    directory = tmp_path_factory.mktemp("complex_vs_real") / "sweep"
    both = variants(("model=mlp",), ("model=real_mlp", "model.output=complex"))
    assert main([*SMALL, both, f"hydra.sweep.dir={directory}"]) == 0
    return load(directory)


def test_twins_stand_side_by_side_with_their_degrees_of_freedom(sweep):
    document = report_complex_vs_real(sweep)
    section = document.sections[0]
    table, sizes = section.tables
    (record,) = table.records
    assert (record["task"], record["optimizer"]) == ("equalizer", "SGD")
    assert record["difference"] == pytest.approx(record["complex"] - record["real"])
    (size,) = sizes.records
    runs = sweep.runs
    mixed = runs["parameters.complex"] > 0
    assert size["complex"] == 2 * runs.loc[mixed, "parameters.complex"].iloc[0]
    assert size["real"] == runs.loc[~mixed, "parameters.real"].iloc[0]
    assert abs(size["real"] / size["complex"] - 1) < 0.2
    assert runs["data.seed"].tolist() == runs["seed"].tolist()  # so that splits are replicates
    assert "it takes 10 held-out data splits" in document.verdict[0].text


def test_a_convention_is_nothing_to_a_real_network_and_something_to_a_complex_one(sweep):
    runs = sweep.runs
    for real in (True, False):
        rows = runs[(runs["parameters.complex"] == 0) == real]
        by = rows.set_index(["convention.scale", "objective.scale", "lr_octave", "seed"])
        plain, halved = by.loc[1.0]["test/loss"], by.loc[0.5]["test/loss"]
        assert len(plain) == len(halved) == 8
        assert (plain == halved.loc[plain.index]).all() == real
    document = report_complex_vs_real(sweep)
    kinds = {(r["group"], r["arm"]): r["kind"] for r in document.answer.records}
    real = {arm for (group, arm), kind in kinds.items() if "RealMlp" in group}
    assert real == {"scale 1, wirtinger", "scale ½, pytorch", "scale ½, wirtinger"}
    assert {kind for (group, _), kind in kinds.items() if "RealMlp" in group} == {"relabelling"}
    sentences = [s.text for section in document.sections for s in section.sentences]
    assert any("bit for bit (4 of 4 pairs)" in text for text in sentences)


def test_one_kind_alone_is_refused_in_a_line(sweep, tmp_path, capsys):
    shutil.copytree(sweep.directory, tmp_path / "sweep")
    for name in sweep.runs[sweep.runs["parameters.complex"] == 0]["directory"]:
        shutil.rmtree(tmp_path / "sweep" / name)
    assert report([str(tmp_path / "sweep")]) == 2
    assert "there is no real one of equalizer with SGD" in capsys.readouterr().err
