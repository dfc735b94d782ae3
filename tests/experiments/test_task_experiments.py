"""Experiments on tasks of the literature: `copy_memory`, `mnist` and `mri`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cvtrain
from cvtrain.cli.train import main
from cvtrain.data.load import load_dataset
from cvtrain.sweeps import estimate
from tests.data.idx_files import write_digits

pytestmark = pytest.mark.usefixtures("blank_figures")

COPY_MEMORY = (
    *("+experiment=copy_memory", "data.delay=2", "data.length=2", "model.hidden=4"),
    *("data.train_samples=16", "data.validation_samples=8", "data.test_samples=8"),
)
MNIST = (
    *("+experiment=mnist", "data.path=idx", "model.channels=[1,2]", "model.hidden=3"),
    *("data.train_samples=20", "data.validation_samples=10", "data.test_samples=10"),
)
SHORT = ("max_steps=3", "batch_size=4", "seed=0")
WEIGHTS = ["val/loss", "test/loss", "weight/norm", "update/norm"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tasks")
    (directory / "idx").mkdir()
    write_digits(directory / "idx", train=600)
    return directory


def trained(folder: Path, name: str, *arguments: str) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*arguments, *SHORT, f"hydra.sweep.dir={folder / name}"]) == 0
    return folder / name


@pytest.fixture(scope="module")
def copy_memory(folder):
    return trained(folder, "copy_memory", *COPY_MEMORY, "lr_octave=1")


@pytest.fixture(scope="module")
def mnist(folder):
    return trained(folder, "mnist", *MNIST, "lr_octave=1,2")


def report(directory: Path) -> str:
    return (directory / "report" / "report.md").read_text(encoding="utf-8")


# Of copy_memory's five arms one is the jitter control.
@pytest.mark.parametrize(
    ("experiment", "network", "points"),
    [(COPY_MEMORY, "Urnn: mixed", 2 * 5), (MNIST, "Cnn: purely complex", 2 * 4)],
)
def test_the_plan_has_every_arm_and_makes_nothing(
    folder, monkeypatch, capsys, experiment, network, points
):
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    assert main([*experiment, *SHORT, "lr_octave=1", "plan=true"]) == 0
    shown = capsys.readouterr().out
    assert network in shown
    assert f"\n{points} points, about" in shown
    assert sorted(folder.iterdir()) == before


def test_copy_memory_is_reported_beside_what_needs_no_memory(copy_memory):
    assert (cvtrain.load(copy_memory).runs["status"] == "finished").all()
    assert (copy_memory / "report" / "learning_rates.png").exists()
    for words in (
        "RMSprop:",
        "Adam:",
        "jitter control, retuned too",
        "memoryless",
        "steps to accuracy 0.95",
    ):
        assert words in report(copy_memory), words


def test_mnist_is_reported(mnist):
    assert (cvtrain.load(mnist).runs["status"] == "finished").all()
    assert (mnist / "report" / "learning_rates.png").exists()
    for words in ("SGD:", "Adam:", "scale ½, wirtinger"):
        assert words in report(mnist), words


@pytest.mark.parametrize(
    "size", [(), *(("goal.value=0.99", f"data.delay={delay}") for delay in (100, 200, 300, 500))]
)
def test_certain_blanks_are_no_arrival_in_copy_memory(size):
    samples = ("data.train_samples=20", "data.validation_samples=1", "data.test_samples=1")
    config = cvtrain.configure("+experiment=copy_memory", "null_arm=false", *samples, *size)
    references = {reference.tag: reference.value for reference in load_dataset(config).references}
    assert config.goal.metric == "accuracy"
    assert references["test/accuracy"] < config.goal.value < 1


def test_halves_of_loss_and_of_gradients_are_the_same_runs_in_mnist(mnist):
    runs = cvtrain.load(mnist).runs
    axes = ["optimizer._target_", "objective.scale", "convention.scale", "lr_octave"]
    numbers = {key: row.tolist() for key, row in runs.set_index(axes)[WEIGHTS].iterrows()}
    for name in ("SGD", "Adam"):
        rule = f"torch.optim.{name}"
        assert numbers[rule, 0.5, 1, 2] == numbers[rule, 1, 0.5, 2]
        # Twice the rate makes up for half of the gradient where steps are linear in it.
        made_up = numbers[rule, 0.5, 1, 2] == numbers[rule, 1, 1, 1]
        assert made_up == (name == "SGD")


def test_fashion_mnist_takes_the_place_of_mnist(folder, monkeypatch):
    monkeypatch.chdir(folder)
    config = cvtrain.configure(*MNIST, "data=fashion_fft", "data.validation_samples=200")
    assert config.data.target == "cvtrain.data.fashion_fft.fashion_fft"
    assert config.data.arguments["train_samples"] == 20


def test_the_scan_is_planned_for_both_networks_and_named_where_it_is_not_there(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(estimate, "CALIBRATION_STEPS", 6)  # how long it takes is not asked here
    assert main(["+experiment=mri", "seed=0", "plan=true"]) == 2
    error = capsys.readouterr().err
    assert "path=data/mri/cartesian_ksp.npy: there is no such file; it should hold" in error
    assert "data.path=FILE names yours" in error
    assert not list(tmp_path.iterdir())
    generator = np.random.default_rng(0)
    np.save("own.npy", generator.normal(size=(4, 50, 52, 2)).view(np.complex128)[..., 0])
    assert main(["+experiment=mri", "data.path=own.npy", "seed=0", "lr_octave=1", "plan=true"]) == 0
    shown = capsys.readouterr().out
    assert "Inr: purely complex" in shown and "Unet: mixed" in shown
    assert f"\n{2 * 2 * 4} points, about" in shown
