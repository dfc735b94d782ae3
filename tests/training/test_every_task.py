"""Every generated task trains in both engines, with the network that suits it, to equal weights."""

import math

import pytest

from cvtrain.config.point import Point
from cvtrain.training.job import Job
from cvtrain.training.train import train
from tests.training.trained_runs import Trained, configured, trained

CLASSES, NUMBERS = "objective=cross_entropy", "objective=complex_mse"
MLP = ("model=mlp", "model.hidden=[4]")
URNN = ("model=urnn", "model.hidden=6")
TASKS = {
    "adding": (NUMBERS, "data.length=8", "data.train_samples=60", *URNN, "model.head=complex"),
    "copy_memory": (
        *(CLASSES, "data.delay=3", "data.length=3", "data.train_samples=60"),
        *("data.validation_samples=10", "data.test_samples=10"),
        *(*URNN, "model.outputs=every", "model.head=real"),
    ),
    "digits_fft": (CLASSES, "model=cnn", "model.channels=[3]", "model.hidden=4"),
    "equalizer": (NUMBERS, *MLP),
    "modulation": (CLASSES, "data.samples_per_format=40", "data.symbols=4", *MLP),
    "noncircular": (CLASSES, "data.samples_per_class=100", "data.length=6", *MLP),
    "speckle": (
        *(CLASSES, "data.size=8", "data.train_samples=40"),
        *("data.validation_samples=10", "data.test_samples=10"),
        *("model=unet", "model.channels=[3,4]"),
    ),
    "symmetry": (NUMBERS, "model=linear", "batch_size=null"),
    "system_id": (NUMBERS, "model=widely_linear"),
    "wave_field": (NUMBERS, "data.size=12", "data.bandwidth=2.0", "model=inr", "model.hidden=[5]"),
}
# Adam would move a bias before batch normalisation by what rounding makes of its gradient, 0.
SHORT = (
    *("dtype=complex128", "max_steps=4", "optimizer=sgd", "batch_size=20"),
    *("signals.validation_every=2", "signals.scalars_every=2"),
)


@pytest.mark.parametrize("task", TASKS)
def test_a_task_trains_alike_in_both_engines(tmp_path, task):
    common = (*SHORT, f"data={task}", *TASKS[task])
    alone = trained(tmp_path, *common, "seed=1")
    points = tuple(
        Point(seed, configured(*common, f"seed={seed}"), (), f"stack{seed}") for seed in (0, 1)
    )
    records = train(Job(points, tmp_path, "stack", multiple=1))
    together = Trained(records[1], tmp_path / "stack1")
    # Not relative to each tensor: such a bias holds nothing but rounding.
    assert all(
        (weight - alone.weights[name]).abs().max() < 1e-10
        for name, weight in together.weights.items()
    )
    assert alone.record.status == together.record.status == "finished"
    for tag, value in alone.record.final.items():
        if tag.startswith(("val/", "test/")):
            assert math.isfinite(value) or tag.endswith("nmse_db")
            assert together.record.final[tag] == pytest.approx(value, rel=1e-7, abs=1e-9), tag
    assert alone.record.final["train/loss"] > 0


def test_every_generated_task_is_here():
    from pathlib import Path

    own = {"arrays", "custom", "folders"}
    from_files = own | {
        "fashion_fft",
        "miccai2023",
        "mnist_fft",
        "mri_image",
        "mri_undersampled",
        "mstar",
        "polsf",
        "s1slc",
        "sample",
    }
    data_sets = {path.stem for path in (Path(__file__).parents[2] / "conf" / "data").glob("*.yaml")}
    assert set(TASKS) == data_sets - from_files - {"article"}
    assert configured("data=article", "model=linear", NUMBERS, "batch_size=null").max_steps == 400
