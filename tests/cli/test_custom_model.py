"""A network of the user in an experiment: trained as stacks, by the command in the README."""

from __future__ import annotations

import re
import sys

import pytest
import torch

from cvtrain.cli.train import main
from cvtrain.process.exit_status import FULL_ERROR
from cvtrain.runs.checkpoint import checkpoint_path, load_checkpoint
from cvtrain.runs.run_json import read_record

pytestmark = pytest.mark.usefixtures("blank_figures")

PACKAGE = '''
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from lightning.pytorch import Callback
from torch import nn

if TYPE_CHECKING:
    from cvtrain.data.dataset import Dataset
    from torch.optim import Optimizer


class MyNet(nn.Module):
    """Knows nothing of cvtrain: its arguments are filled in by name."""

    def __init__(self, in_features, out_features, width, dtype):
        super().__init__()
        self.inner = nn.Linear(in_features, width, dtype=dtype)
        self.outer = nn.Linear(2 * width, out_features, dtype=dtype.to_real())

    def forward(self, x):
        h = torch.tanh(self.inner(x.flatten(1)))
        return self.outer(torch.cat((h.real, h.imag), dim=1))


class Real(nn.Module):
    def __init__(self, in_features):
        super().__init__()
        self.layer = nn.Linear(2 * in_features, 1)

    def forward(self, x):
        return self.layer(torch.cat((x.real, x.imag), dim=1))


class Broken(nn.Module):
    def __init__(self, in_features, out_features, dtype, how):
        if how == "no super":
            self.layer = nn.Linear(1, 1)
        super().__init__()
        self.layer, self.how = nn.Linear(in_features, out_features, dtype=dtype), how

    def forward(self, x):
        x = x.flatten(1)
        if self.how == "AttributeError":
            return self.layers(x)
        if self.how == "KeyError":
            return {}["absent"]
        if self.how == "NameError":
            return layer(x)
        if self.how == "wordless":
            raise RuntimeError
        if self.how == "assertion":
            assert x.ndim == 3
        if self.how == "in place":
            x *= 0.5
        self.calls = getattr(self, "calls", 0) + 1
        if self.how == "late" and self.calls == 3:
            return {}["third batch"]
        if self.how == "lossy":
            return self.layer(x) * x.to(torch.float32).sum()
        return self.layer(x)


class Lazy(nn.Module):
    def __init__(self, out_features, dtype):
        super().__init__()
        self.layer = nn.LazyLinear(out_features, dtype=dtype)


class Failing(Callback):
    def on_train_batch_end(self, *arguments):
        raise KeyError("callback")


def failing_loss(output, target):
    if list(Path("outputs").glob("*/*/0_seed=0/run.json")):  # none of the tries before training
        raise KeyError("loss")
    return nn.functional.cross_entropy(output.abs(), target)


def broken_data(samples: int, dtype: torch.dtype) -> Dataset:
    return {}["samples"]


def no_data(dtype: torch.dtype) -> Dataset:
    return 3


def sgd(params, lr) -> Optimizer:
    return torch.optim.SGD(params, lr)
'''


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    (tmp_path / "wavelab.py").write_text(PACKAGE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("wavelab", None)


def test_a_users_network_is_swept_as_stacks(tmp_path):
    assert (
        main(
            [
                *("+experiment=sweep", "model=custom", "model._target_=wavelab.MyNet"),
                *("+model.args.width=5", "trusted_modules=[wavelab]", "max_steps=4"),
                *("lr_octave=0,1", "seed=0", "null_arm=false", "hydra.sweep.dir=sweep"),
            ]
        )
        == 0
    )
    runs = sorted((tmp_path / "sweep").glob("*/run.json"))
    records = [read_record(path) for path in runs]
    assert len(records) == 16
    assert {record["engine"] for record in records} == {"stack"}
    assert {record["stack_size"] for record in records} == {8}
    from wavelab import MyNet

    network = MyNet(64, 10, 5, torch.complex64)
    weights, _ = load_checkpoint(checkpoint_path(runs[0].parent, "last"))
    assert network.load_state_dict(weights)
    assert records[0]["parameters"] == {"complex": 65 * 5, "real": 11 * 10}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["trusted_modules=[]"],
            "should be of a trusted package: cvtrain, torch, torchcvnn, lightning, torchmetrics;",
        ),
        (["trusted_modules=[wavelab]"], "MyNet needs width"),
        (
            [
                *("trusted_modules=[wavelab]", "model._target_=wavelab.Real", "data=equalizer"),
                "objective=complex_mse",
            ],
            "it returns torch.float32, should be complex numbers",
        ),
        (
            [
                *("trusted_modules=[wavelab]", "model._target_=wavelab.Real", "data=system_id"),
                *("data.taps=3", "objective=complex_mse", "+model.args.wide=1"),
            ],
            "Real takes no such argument",
        ),
    ],
)
def test_what_does_not_fit_is_told_before_anything_trains(tmp_path, capsys, arguments, message):
    overrides = ["model=custom", "model._target_=wavelab.MyNet", *arguments]
    assert main(overrides) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no super", "Broken refuses its arguments: AttributeError: "),
        ("AttributeError", "AttributeError: 'Broken' object has no attribute 'layers'"),
        ("KeyError", "KeyError: 'absent'"),
        ("NameError", "NameError: name 'layer' is not defined"),
        ("wordless", "failed: RuntimeError"),
        ("assertion", "failed: AssertionError"),
        ("in place", "it changes its input in place"),
        ("lossy", "discards the imaginary part"),
    ],
)
def test_a_bug_in_a_network_is_a_line_however_often_it_is_tried(tmp_path, capsys, how, message):
    overrides = ["model=custom", "model._target_=wavelab.Broken", "trusted_modules=[wavelab]"]
    for _ in range(2):
        assert main([*overrides, f"+model.args.how='{how}'"]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert len(error.splitlines()) == 1
    assert not (tmp_path / "outputs").exists()


TRUSTED = "trusted_modules=[wavelab]"
BROKEN = ("model=custom", "model._target_=wavelab.Broken", TRUSTED)
FAILING = "+trainer.callbacks=[{_target_: wavelab.Failing}]"
DATA = ("~data.seed", "data._target_=wavelab.broken_data", "data.samples=3", TRUSTED)
FAULTS = [
    # overrides, status, what the line says, where
    ((*BROKEN, "model.args.how=KeyError"), 2, "failed: KeyError: 'absent'", "forward"),
    ((*BROKEN, "model.args.how='no super'"), 2, "refuses its arguments", "__init__"),
    ((*BROKEN, "model.args.how=late"), 1, "KeyError: 'third batch'", "forward"),
    ((FAILING, TRUSTED), 1, "KeyError: 'callback'", "on_train_batch_end"),
    (DATA, 2, "data: it cannot be made with samples=3: KeyError: 'samples'", "broken_data"),
]


@pytest.mark.parametrize(("overrides", "status", "message", "function"), FAULTS)
def test_a_fault_in_a_users_code_is_told_with_the_line_that_it_is_in(
    capsys, monkeypatch, overrides, status, message, function
):
    monkeypatch.delenv(FULL_ERROR, raising=False)
    assert main([*overrides, "max_steps=4"]) == status
    (line,) = [text for text in capsys.readouterr().err.splitlines() if "cvtrain: " in text]
    assert message in line
    location = re.search(r" \(wavelab\.py:(\d+) in (\w+)\)", line)
    assert location is not None
    assert location[2] == function
    monkeypatch.setenv(FULL_ERROR, "0")  # so that what debug=true sets goes with the test
    assert main([*overrides, "max_steps=4", "debug=true"]) == status
    first, second, *_ = capsys.readouterr().err.splitlines()
    assert first == "Traceback (most recent call last):"
    assert re.search(r'wavelab\.py", line \d+, in ', second)


LOSS = ("objective=custom", "objective._target_=wavelab.failing_loss", TRUSTED)
WIDTH = ("model=custom", "model._target_=wavelab.MyNet", "model.args.width=3")


STACK = ((*LOSS, *WIDTH), "2 runs in 1 stack", "KeyError: 'loss'")
ALONE = ((FAILING, TRUSTED), "2 runs one by one", "KeyError: 'callback'")
WORKERS = ((*ALONE[0], "hydra.launcher.workers=2"), *ALONE[1:])


@pytest.mark.parametrize(
    ("overrides", "how", "message", "debug"),
    [(*STACK, "false"), (*STACK, "true"), (*ALONE, "true"), (*WORKERS, "true")],
    ids=["stack", "stack, debug", "single runs, debug", "workers, debug"],
)
def test_a_fault_in_runs_of_a_sweep_is_told_with_the_line_that_it_is_in(
    commands, tmp_path, overrides, how, message, debug
):
    words = (*overrides, "seed=0,1", "max_steps=3", f"debug={debug}", "-m")
    done = commands.run(tmp_path, *words, forks_workers=True)
    assert done.returncode == 1
    assert how in done.stderr
    *before, line = done.stderr.splitlines()
    assert re.fullmatch(
        rf"cvtrain: 2 of 2 runs failed: the first: {message} \(wavelab\.py:\d+ in \w+\);"
        r" see \S+/0_seed=0/traceback\.txt",
        line,
    )
    begins = [number for number, text in enumerate(before) if text.startswith("Traceback")]
    assert len(begins) == (debug == "true")
    for number in begins:
        assert re.search(r'wavelab\.py", line \d+, in ', before[number + 1])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=custom", "model._target_=wavelab.Lazy"], "wavelab.Lazy: should have the sizes of"),
        (["optimizer._target_=wavelab.sgd"], "wavelab.sgd: should be a class, is a function"),
        (
            ["~data.seed", "data._target_=wavelab.no_data"],
            "made a int: should be a cvtrain",
        ),
    ],
)
def test_what_cannot_stand_in_a_slot_is_refused(capsys, overrides, message):
    assert main([*overrides, TRUSTED]) == 2
    assert message in capsys.readouterr().err


def test_arguments_of_a_users_network_need_no_plus(capsys):
    overrides = ["model=custom", "model._target_=wavelab.MyNet", TRUSTED, "plan=true"]
    assert main([*overrides, "model.args.width=4,5", "seed=0,1", "-m"]) == 0
    assert "4 runs" in capsys.readouterr().out
