"""Sweeps from Python, with objects in the place of overrides."""

from __future__ import annotations

import signal
import threading
import time

import numpy as np
import pytest
import torch
from hydra import initialize
from hydra.core.global_hydra import GlobalHydra
from torch import nn
from torch.utils.data import TensorDataset
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

import cvtrain
from cvtrain.config.python_objects import is_registered, path_of
from cvtrain.data.in_memory import data_target
from cvtrain.process.errors import InputError, Interrupted
from cvtrain.sweeps.results import SweepResult
from cvtrain.training.objective import loss_target

SHORT = ("max_steps=10", "optimizer=sgd", "signals.scalars_every=5")


def waves(samples=240):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(samples, 4, dtype=torch.complex64, generator=generator)
    return x, (x.real.sum(1) > 0).long()


def local_network():
    class Net(nn.Module):
        def __init__(self, in_features, out_features, dtype, width=6):
            super().__init__()
            self.inner = nn.Linear(in_features, width, dtype=dtype)
            self.outer = nn.Linear(width, out_features, dtype=dtype)

        def forward(self, x):
            return self.outer(torch.tanh(self.inner(x))).abs()

    return Net


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> SweepResult:
    directory = tmp_path_factory.mktemp("swept")
    return cvtrain.sweep(
        *SHORT,
        f"output={directory}",
        model=local_network(),
        data=waves(),
        axes={
            "optimizer.lr": [0.1, 0.2, 0.4],
            "convention": ["pytorch", "wirtinger"],
            "seed": range(3),
        },
    )


def test_a_sweep_of_objects_is_stacked_and_answered(swept):
    assert len(swept.runs) == 18
    assert set(swept.runs["engine"]) == {"stack"}
    assert set(swept.runs["seed"]) == {0, 1, 2}
    verdict = swept.verdict.loc[("SGD", "scale 1, wirtinger")]
    assert verdict["kind"] == "relabelling"
    assert verdict["factor"] == 2
    assert set(swept.curves["tag"]) >= {"val/loss", "grad/norm"}
    assert "registered" in swept.figures


def test_a_sweep_shows_itself(swept):
    assert "multiply the learning rate by 2" in repr(swept)
    assert len(repr(swept).splitlines()) < 20
    page = swept._repr_html_()
    assert "multiply the learning rate by 2" in page
    assert "<svg" in page
    assert "arrays, Net" in repr(swept)  # what was trained, by the names in its code
    assert swept.report().is_file()


def test_a_sweep_goes_on_with_the_same_objects(swept):
    again = cvtrain.sweep(
        f"resume={swept.directory}", "seed=range(0,4)", model=local_network(), data=waves()
    )
    assert again.directory == swept.directory
    assert (again.runs["status"] == "finished").sum() == 24


def test_other_objects_are_other_runs():
    first, second = local_network(), local_network()
    assert path_of(first) == path_of(second)
    second.forward = lambda self, x: self.outer(self.inner(x)).abs()
    assert path_of(first) != path_of(second)
    x, y = waves()
    assert data_target((x, y)) == data_target((x.numpy(), y.numpy()))
    assert data_target((x, y)) != data_target((x, 1 - y))


NOTEBOOK = """
import functools
import torch
from torch import nn

power = {power}
offsets = {{"a": torch.full((3,), {offset})}}

def helper(e):
    return e.abs() ** power

def of_globals(output, target):
    return [helper(output - target) + offsets["a"].sum() for _ in range(1)][0]

def made(weight):
    def loss(output, target, *, scale=1.0):
        return weight * scale * (output - target).abs()
    return loss

of_closure = made({weight})
of_partial = functools.partial(of_globals, target={weight})

class OfClass(nn.Module):
    def forward(self, output, target):
        return {sign}helper(output - target)

class Callable:
    def __init__(self, weight):
        self.weight, self.itself = weight, self
    def __call__(self, output, target):
        return self.weight * helper(output)

of_object = Callable({weight})
"""
VALUES = {"power": 2, "offset": 0.5, "weight": 1.0, "sign": ""}


def notebook(**changed):
    """The names that the functions of a notebook have, as executed in a fresh session."""
    cells = {"__name__": "__main__"}
    exec(NOTEBOOK.format(**{**VALUES, **changed}), cells)
    names = {n: path_of(v) for n, v in cells.items() if n.startswith("of_") or n == "OfClass"}
    return names | {"instance": loss_target(cells["OfClass"]())}


@pytest.mark.parametrize(
    ("changed", "renamed"),
    [
        ({}, set()),
        ({"power": 3}, {"of_globals", "of_partial", "OfClass", "of_object", "instance"}),
        ({"offset": 0.25}, {"of_globals", "of_partial"}),
        ({"weight": 2.0}, {"of_closure", "of_partial", "of_object"}),
        ({"sign": "-"}, {"OfClass", "instance"}),
    ],
)
def test_a_value_that_a_function_captures_is_part_of_its_name(changed, renamed):
    before, after = notebook(), notebook(**changed)
    assert {name for name in before if before[name] != after[name]} == renamed


def test_losses_of_other_weights_are_other_losses():
    weights = torch.linspace(1, 2, 10_000)
    one, same, other = (nn.CrossEntropyLoss(w) for w in (weights, weights.clone(), weights.flip(0)))
    hair = nn.CrossEntropyLoss(weights * (1 + 1e-6))
    assert loss_target(one) == loss_target(same)
    assert len({loss_target(loss) for loss in (one, other, hair)}) == 3


def test_what_a_module_holds_is_named_by_its_path():
    assert path_of(nn.Linear) == "torch.nn.modules.linear.Linear"
    assert path_of(waves) == f"{waves.__module__}.waves"
    assert is_registered(path_of(lambda: None))


def test_data_that_are_ready_train_as_their_function_does(tmp_path):
    x, y = waves()
    sets = [
        TensorDataset(x[part], y[part]) for part in (slice(160), slice(160, 200), slice(200, 240))
    ]
    losses = []
    for data in (sets, lambda: sets):
        result = cvtrain.sweep(
            *SHORT, f"output={tmp_path}", "model=mlp", data=data, axes={"seed": [0, 1]}
        )
        losses.append(result.runs["val/loss"].tolist())
    assert losses[0] == losses[1]


def test_an_override_may_refer_to_the_seed_of_each_point(tmp_path):
    """${seed} was resolved once for all points: every run had the same draw of the data."""
    short = (*SHORT, f"output={tmp_path}", "model.hidden=[4]")
    result = cvtrain.sweep(*short, "data.seed=${seed}", axes={"seed": [0, 1, 2]})
    assert result.runs["data.seed"].tolist() == [0, 1, 2]
    assert set(result.runs["engine"]) == {"stack"}


def brier(output, target):
    return (output.softmax(1) - nn.functional.one_hot(target, 2)).square().sum(1)


@pytest.mark.parametrize(
    "loss", [lambda output, target: brier(output, target), brier, nn.CrossEntropyLoss()]
)
def test_a_loss_may_be_a_function_or_a_module(loss, tmp_path):
    short = (*SHORT, f"output={tmp_path}", "model=mixed_mlp", "model.hidden=[4]")
    result = cvtrain.sweep(*short, data=waves(), loss=loss, axes={"seed": [0, 1]})
    ready = cvtrain.sweep(*short, data=waves(), axes={"seed": [0, 1]})  # cross-entropy
    assert set(result.runs["engine"]) == {"stack"}
    same = result.runs["val/loss"].equals(ready.runs["val/loss"])
    assert same == isinstance(loss, nn.Module)


class Worst:
    def __call__(self, output, target):
        return (output.argmax(1) != target).float().max()


def test_metrics_may_be_classes_objects_and_functions_with_a_direction(tmp_path):
    result = cvtrain.sweep(
        *SHORT,
        "model=mixed_mlp",
        "report.metric=confidence",
        f"output={tmp_path}",
        data=waves(),
        metrics=[
            "MulticlassRecall",
            MulticlassF1Score,
            MulticlassAccuracy(2, average="micro"),
            (Worst(), "lower"),
            (brier, "lower"),
            {
                "_target_": lambda output, target: output.softmax(1).max(1).values,
                "better": "higher",
                "name": "confidence",
            },
        ],
        axes={"seed": [0, 1]},
    )
    runs = result.runs
    assert set(runs["engine"]) == {"stack"}
    assert (runs["test/multiclass_accuracy"] - runs["test/accuracy"]).abs().max() < 1e-6
    names = ("multiclass_recall", "multiclass_f1_score", "worst", "brier", "confidence")
    assert all(runs[f"test/{name}"].between(0, 1).all() for name in names)
    again = cvtrain.sweep(f"resume={result.directory}", data=waves(), metrics=[brier])
    assert again.directory == result.directory


def test_hydra_of_another_application_is_left_alone(tmp_path):
    GlobalHydra.instance().clear()  # of an earlier command in this process
    with initialize(config_path=None, version_base="1.3"):
        before = GlobalHydra.instance().hydra
        cvtrain.sweep(*SHORT, f"output={tmp_path}", axes={"seed": [0, 1]})
        assert GlobalHydra.instance().hydra is before


def test_a_sweep_can_be_interrupted_and_gone_on_with(tmp_path, capfd):
    objects = {"model": local_network(), "data": waves()}

    def interrupt():
        while not list(tmp_path.rglob("metrics.csv")):
            time.sleep(0.02)
        signal.pthread_kill(main, signal.SIGINT)

    main = threading.main_thread().ident
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Interrupted):
        cvtrain.sweep(
            "max_steps=500",
            "optimizer=sgd",
            f"output={tmp_path}",
            **objects,
            axes={"seed": [0, 1]},
        )
    thread.join()
    (directory,) = (tmp_path / "sweep").iterdir()
    assert f'cvtrain.sweep("resume={directory}", …) with the same objects' in capfd.readouterr().err
    result = cvtrain.sweep(f"resume={directory}", **objects)
    assert set(result.runs["status"]) == {"finished"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"model": nn.Linear(2, 2)}, "model=Linear: should be a class or function"),
        ({"data": 3}, "data: made a int"),
        ({"loss": "mse"}, "loss='mse': should be a function or module"),
        ({"data": (np.zeros((3, 2)), np.zeros(4))}, "same number of samples"),
        ({"metrics": [3]}, "metrics: 3 should be a class or object of torchmetrics"),
        ({"metrics": [brier]}, r"better=None: should be higher or lower"),
        ({"axes": {"seed": []}}, "should have a value"),
        ({"axes": {"seed": [object()]}}, "should be a number"),
        ({"axes": {"sed": [1, 2]}}, "no such key"),
    ],
)
def test_wrong_objects_are_told_in_a_line(arguments, line, tmp_path):
    with pytest.raises(InputError, match=line) as caught:
        cvtrain.sweep(*SHORT, f"output={tmp_path / 'out'}", **arguments)
    assert len(str(caught.value).splitlines()) <= 2
    assert not (tmp_path / "out").exists()


def test_other_processes_do_not_get_objects(tmp_path):
    with pytest.raises(InputError, match="others cannot import Net"):
        cvtrain.sweep(
            *SHORT,
            "hydra.launcher.workers=2",
            f"output={tmp_path}",
            model=local_network(),
            axes={"seed": [0, 1]},
        )
    assert not list(tmp_path.iterdir())


def test_an_object_of_another_process_is_asked_for(command):
    done = command("model=custom", "model._target_=this_process.Net_12345678")
    assert done.status == 2
    assert "should be defined in this Python process" in done.err
