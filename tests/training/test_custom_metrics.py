"""Metrics that a configuration adds: torchmetrics' by name, and a user's own."""

from __future__ import annotations

import sys

import pytest
import torch
from torchmetrics.classification import MulticlassF1Score

from cvtrain.analysis.compare import compare
from cvtrain.analysis.load import load
from cvtrain.cli.train import main
from cvtrain.config.point import Point
from cvtrain.data.load import load_dataset
from cvtrain.process.errors import InputError
from cvtrain.training.metrics import Totals, WholeMetric, scores
from cvtrain.training.preflight import preflight
from cvtrain.training.task import Task
from tests.training.trained_runs import configured, largest_difference, stacked, trained

PACKAGE = """
import torch
from torchmetrics import Metric


def phase_error(output, target):
    return (output / target).angle().abs().flatten(1).mean(1)


def correlation(output, target):
    return ((output.conj() * target).sum().abs() / (output.norm() * target.norm())) ** 2
correlation.higher_is_better = True


class Power:
    higher_is_better = True

    def __init__(self, power: float = 1.0):
        self.power = power

    def __call__(self, output, target):
        return -(output - target).abs().pow(self.power).mean()


class Largest(Metric):
    higher_is_better = False

    def __init__(self):
        super().__init__()
        self.add_state("largest", torch.tensor(0.0), dist_reduce_fx="max")

    def update(self, output, target):
        self.largest = torch.maximum(self.largest, (output - target).abs().max())

    def compute(self):
        return self.largest


def is_complex(output, target):
    return (output - target).mean()


def entries(output, target):
    return (output - target).abs()


def silent(output, target):
    return (output - target).to(torch.float32).mean()


def fails(output, target):
    return {}["absent"]
"""
TRUST = "trusted_modules=[metriclab]"
CLASSES = ("model.hidden=[4]", "max_steps=8", "batch_size=16", "signals.validation_every=4")
VALUES = ("data=equalizer", "model=mlp", "objective=complex_mse", *CLASSES)
F1 = "metrics=[{_target_: MulticlassF1Score, average: macro, name: f1}]"


@pytest.fixture(autouse=True)
def package(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("package")
    (folder / "metriclab.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(folder)
    yield
    sys.modules.pop("metriclab", None)


def own(*slots):
    listed = ",".join(slot if slot.startswith("{") else f"metriclab.{slot}" for slot in slots)
    return (*VALUES, TRUST, f"metrics=[{listed}]")


LOWER = "{_target_: metriclab.phase_error, better: lower}"


def test_a_metric_of_torchmetrics_is_what_torchmetrics_says(tmp_path):
    run = trained(
        tmp_path, *CLASSES, F1, "early_stopping.metric=f1", "goal.metric=f1", "goal.value=0.01"
    )
    final, dataset = run.record.final, load_dataset(configured())
    model = Task(configured(*CLASSES)).model().eval()
    model.load_state_dict(run.weights)
    with torch.no_grad():
        output = model(dataset.test.inputs)
    wanted = MulticlassF1Score(10, average="macro")(scores(output), dataset.test.targets)
    assert final["test/f1"] == pytest.approx(float(wanted), rel=1e-5)
    assert final["convergence/steps_to_target"] < 8
    assert run.record.best["val/f1"]["value"] == max(run.rows["val/f1"].dropna())
    assert run.record.rising == ["f1"]
    assert list(final).index("test/accuracy") < list(final).index("test/f1")


def test_own_metrics_are_of_the_whole_split_in_a_stack_as_alone(tmp_path):
    overrides = own(LOWER, "correlation", "{_target_: metriclab.Power, power: 2}", "Largest")
    run = trained(tmp_path, *overrides)
    together = stacked(tmp_path, overrides, (*overrides, "seed=1"))
    dataset = load_dataset(configured(*overrides))
    model = Task(configured(*VALUES)).model().eval()
    model.load_state_dict(run.weights)
    with torch.no_grad():
        output = model(dataset.test.inputs)
    error = (output - dataset.test.targets).abs()
    final = run.record.final
    assert final["test/largest"] == pytest.approx(float(error.max()), rel=1e-5)
    assert final["test/power"] == pytest.approx(-float(error.square().mean()), rel=1e-5)
    assert final["test/power"] == pytest.approx(-final["test/loss"], rel=1e-5)
    assert run.record.rising == ["correlation", "power"]
    assert largest_difference(run, together[0]) < 1e-4
    for tag in ("test/phase_error", "test/correlation", "test/power", "test/largest"):
        assert final[tag] == pytest.approx(together[0].record.final[tag], rel=1e-3)
        assert final[tag] != together[1].record.final[tag]


def test_a_whole_metric_does_not_depend_on_the_pieces():
    metric = WholeMetric(lambda output, target: output.mean() / target.mean())
    output, target = torch.rand(3, 10), torch.rand(10)
    totals = Totals({"ratio": metric}, members=True)
    for piece in zip(output.split(3, dim=1), target.split(3), strict=True):
        totals.add(*piece)
    assert torch.allclose(totals.values()["ratio"], output.mean(1) / target.mean())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (own("phase_error"), "metrics[0].better=None: should be higher or lower; phase_error does"),
        (
            own("{_target_: metriclab.phase_error, better: more}"),
            "metrics[0].better=more: should be",
        ),
        (
            (*CLASSES, "metrics=[MulticlassConfusionMatrix]"),
            "metrics[0]=MulticlassConfusionMatrix:",
        ),
        ((*CLASSES, "metrics=[MultiClassF1Score]"), "did you mean MulticlassF1Score or"),
        (
            (*CLASSES, "metrics=[{_target_: MulticlassF1Score, avg: macro}]"),
            "Unexpected keyword arguments: `avg`",
        ),
        ((*CLASSES, "metrics=[{_target_: MulticlassF1Score, name: accuracy}]"), "there is such a"),
        ((*CLASSES, "metrics=[{_target_: MulticlassF1Score, name: a/b}]"), "should be letters"),
        (
            (*CLASSES, "metrics=[{_target_: MulticlassRecall, average: none}]"),
            "it returns shape [10]",
        ),
        (
            (*CLASSES, "metrics=[torchmetrics.text.BERTScore]"),
            "should be a torchmetrics Metric class",
        ),
        ((*VALUES, "metrics=[MeanSquaredError]"), "mean_squared_error of complex64 outputs"),
        ((*CLASSES, F1, "goal.metric=f1"), "goal.value: should have a value for goal.metric=f1"),
        ((*CLASSES, F1, "goal.metric=f2"), "should be one of loss, accuracy, f1"),
        ((*CLASSES, F1, "early_stopping.metric=f2"), "should be one of loss, accuracy, f1"),
        (
            (*CLASSES, F1, "report.metric=f2"),
            "report.metric=f2: should be one of loss, accuracy, f1",
        ),
        *(
            (own(f"{{_target_: metriclab.{name}, better: lower}}"), f"metrics: {name} of complex64")
            for name in ("is_complex", "entries", "silent", "fails")
        ),
    ],
)
def test_what_is_no_metric_is_one_line(overrides, message):
    with pytest.raises(InputError) as refused:
        preflight([Point(0, configured(*overrides), overrides, "run")])
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_added_metric_chooses_the_learning_rate_and_compares_the_arms(
    tmp_path, monkeypatch, blank_figures
):
    monkeypatch.chdir(tmp_path)
    axes = ("lr_octave=-2,-1,0,1", "objective.scale=1,0.5", "seed=0,1", "-m", "max_steps=12")
    for metric in ("f1", "null"):
        swept = [*CLASSES, F1, f"report.metric={metric}", f"hydra.sweep.dir=by_{metric}", *axes]
        assert main(swept) == 0
    (group,) = compare(load("by_f1")).groups
    assert (group.metric, group.rising) == ("test/f1", True)
    (by_loss,) = compare(load("by_null")).groups
    assert (by_loss.metric, by_loss.rising) == ("test/accuracy", True)
    runs = load("by_f1").runs
    runs = runs[runs["objective.scale"] == 1]
    means = runs.groupby("optimizer.lr")["val/f1"].mean()
    assert group.arms[0].best_lr == means.idxmax()
    assert by_loss.arms[0].best_lr == runs.groupby("optimizer.lr")["val/loss"].mean().idxmin()
    assert list(tmp_path.glob("by_f1/report/*.html"))
