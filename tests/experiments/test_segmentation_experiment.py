"""The experiment `segmentation`: what it plans, and a small one trained to its report."""

from __future__ import annotations

import json

import pytest

import cvtrain
from cvtrain.cli.train import main

pytestmark = pytest.mark.usefixtures("blank_figures")

SMALL = (
    "+experiment=segmentation",
    *("data.size=8", "data.regions=2", "data.train_samples=16", "model.channels=[2,3]"),
    *("data.validation_samples=8", "data.test_samples=8", "batch_size=4", "max_steps=4"),
    *("optimizer=sgd", "seed=0"),
)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    directory = tmp_path_factory.mktemp("segmentation") / "sweep"
    assert main([*SMALL, "lr_octave=1,2", f"hydra.sweep.dir={directory}"]) == 0
    return directory


def test_two_optimizers_are_asked_at_six_learning_rates_and_nothing_is_written(tmp_path, capsys):
    arguments = [argument for argument in SMALL if argument != "optimizer=sgd"]
    assert main([*arguments, "plan=true", f"hydra.sweep.dir={tmp_path / 'sweep'}"]) == 0
    shown = capsys.readouterr()
    assert f"{2 * 2 * 2 * 6} points" in shown.out + shown.err
    assert not (tmp_path / "sweep").exists()


def test_every_pixel_is_measured_and_the_network_is_mixed(sweep):
    runs = cvtrain.load(sweep).runs
    assert (runs["status"] == "finished").all()
    assert len(runs) == 2 * 2 * 2
    for tag in ("val/mean_iou", "test/mean_iou", "test/accuracy"):
        assert runs[tag].between(0, 1).all(), tag
    # Γ of batch normalisation is real: half of the complex gradients alone is another training.
    for path in sweep.glob("*/run.json"):
        assert min(json.loads(path.read_text())["parameters"].values()) > 0


def test_half_of_the_loss_at_twice_the_rate_is_the_same_and_half_of_complex_gradients_is_not(sweep):
    runs = cvtrain.load(sweep).runs.set_index(["objective.scale", "convention.scale", "lr_octave"])
    losses = runs["val/loss"]
    assert losses[0.5, 1.0, 2] == losses[1.0, 1.0, 1]
    assert losses[1.0, 0.5, 2] != losses[1.0, 1.0, 1]
    assert losses[0.5, 0.5, 2] == losses[1.0, 0.5, 1]


def test_the_report_stands_beside_what_each_pixel_tells_by_itself(sweep):
    text = (sweep / "report" / "report.md").read_text()
    assert "maximum likelihood, each pixel by itself" in text
    assert (sweep / "report" / "learning_rates.png").exists()
