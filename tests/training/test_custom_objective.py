"""Losses of a user's own, from a package outside of the repository."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from cvtrain.cli.train import main
from cvtrain.gradients.losses import complex_mse
from cvtrain.process.errors import InputError
from cvtrain.runs.run_json import read_record
from cvtrain.training.task import Task, structure
from tests.training.trained_runs import (
    configured,
    equal,
    largest_difference,
    stacked,
    together_and_alone,
    trained,
)

PACKAGE = """
import torch
from torch import nn


def error_power(output, target):
    return (output - target).abs().square().mean()


def each_sample(output, target):
    return (output - target).abs().square().flatten(1).mean(1)


class Weighted(nn.Module):
    def __init__(self, weight: float = 1.0):
        super().__init__()
        self.register_buffer("weight", torch.tensor(weight))

    def forward(self, output, target):
        error = output - target
        return (error.real.square() + self.weight * error.imag.square()).mean()


def moduli(output, target):
    return (output.abs() - target).square().mean()


def made(weight: float) -> nn.Module:
    return Weighted(weight)


def unstacked(output, target):
    loss = error_power(output, target)
    return loss if loss.item() > 0 else 0 * loss


class Counting(nn.Module):
    calls = 0

    def forward(self, output, target):
        self.calls += 1
        return error_power(output, target)


class Trainable(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))


class Uncallable:
    pass


def is_complex(output, target):
    return (output - target).square().mean()


def silent(output, target):
    return (output - target).to(torch.float32).square().mean()


def real_part(output, target):
    return (output.real - target.real).square().mean()


def entries(output, target):
    return (output - target).abs()


def number(output, target):
    return 1.0


def detached(output, target):
    return error_power(output.detach(), target)


def in_place(output, target):
    target *= 2
    return error_power(output, target)


def fails(output, target):
    return {}["absent"]
"""
TRUST = "trusted_modules=[losslab]"
DATA = ("data=equalizer", "model=mlp", "model.hidden=[4]", "max_steps=12", "batch_size=16")
SMALL = (*DATA, "signals.validation_every=4")


@pytest.fixture(autouse=True)
def package(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("package")
    (folder / "losslab.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(folder)
    yield
    sys.modules.pop("losslab", None)


def asked(name, *arguments):
    return ("objective=custom", f"objective._target_=losslab.{name}", TRUST, *arguments)


def test_our_loss_brought_as_ones_own_has_its_numbers(tmp_path):
    scale = "objective.scale=0.5"
    ours = trained(tmp_path, *SMALL, "objective=complex_mse", scale)
    for name, more in {
        "each_sample": (),
        "error_power": (),
        "made": ("+objective.weight=1",),
    }.items():
        theirs = trained(tmp_path, *SMALL, *asked(name, scale, *more))
        assert largest_difference(ours, theirs) < 1e-4
        last = [run.record.final["test/loss"] for run in (ours, theirs)]
        assert last[0] == pytest.approx(last[1], rel=1e-5)


def test_a_stack_has_what_each_run_has_alone(tmp_path):
    axes = [("objective.scale=1", "seed=0"), ("objective.scale=0.5", "seed=1")]
    members = [(*SMALL, *asked("Weighted", "+objective.weight=3"), *axis) for axis in axes]
    for together, alone in together_and_alone(tmp_path, *members):
        assert largest_difference(together, alone) < 1e-4
    assert together.record.engine == "stack"


def test_half_of_an_own_loss_halves_the_gradient_bit_for_bit(tmp_path):
    halved, doubled = stacked(
        tmp_path,
        (*SMALL, *asked("error_power"), "objective.scale=0.5", "optimizer.lr=0.125"),
        (*SMALL, *asked("error_power"), "objective.scale=1", "optimizer.lr=0.0625"),
    )
    assert equal(halved, doubled)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("is_complex", "complex64 targets [4, 1]: it returns torch.complex64, should be real"),
        ("silent", "Casting complex values to real discards the imaginary part"),
        ("real_part", "it drops the imaginary part of outputs whose targets are complex"),
        ("entries", "it returns shape [4, 1] for 4 samples, should be one number, or one for each"),
        ("number", "it returns a float, should be a tensor"),
        ("detached", "it has no gradient"),
        ("in_place", "it changes the targets in place"),
        ("fails", "KeyError: 'absent' (losslab.py"),
    ],
)
def test_a_loss_that_cannot_be_minimised_is_one_line(tmp_path, monkeypatch, capsys, name, message):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main([*SMALL, *asked(name)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"objective._target_=losslab.{name}: " in line
        assert message in line or "(/" in line
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (asked("Trainable"), "should have no parameters, which would not be trained; has weight"),
        (asked("Uncallable"), "should make what can be called with outputs and targets"),
        (asked("Weighted", "+objective.wieght=3"), "did you mean objective.weight?"),
        (asked("Weighted", "+objective.weight=much"), "weight=much: should be a valid number"),
        (asked("made"), "objective: made needs weight"),
        (asked("Weighted")[:2], "trusted_modules=[losslab] trusts a package of yours"),
        (("objective=custom",), "objective._target_: should have a value"),
        (asked("Weighted", "objective.scale=-1"), "objective.scale=-1: should be greater than 0"),
        (asked("Weighted", "objective.loss=mse"), "objective.loss=mse: should be left out"),
        (("objective=complex_mse", "+objective.weight=1"), "objective.weight=1: no such key"),
    ],
)
def test_what_is_no_loss_is_refused(overrides, message):
    with pytest.raises(InputError) as refused:
        Task(configured(*SMALL, *overrides)).objective  # noqa: B018  # made, and so checked
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_moduli_of_complex_outputs_are_fitted_to_real_targets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 3)) + 1j * generator.normal(size=(60, 3))
    np.save("x.npy", x)
    np.save("y.npy", np.abs(x @ np.array([1, 1j, -1])))
    overrides = ("data=arrays", "data.inputs=x.npy", "data.targets=y.npy", "model=mlp", *SMALL[2:])
    run = trained(
        tmp_path, *overrides, *asked("moduli"), "max_steps=200", "optimizer=adam", "lr_octave=0"
    )
    assert {tag for tag in run.record.final if tag.startswith("test/")} == {"test/loss"}
    assert run.record.final["test/loss"] < 0.5 * run.record.final["convergence/initial/loss"]
    assert run.record.final["convergence/steps_to_target"] == float("inf")
    assert run.record.untrained_loss is None


def test_a_sweep_stacks_what_can_be_stacked_and_says_what_cannot(
    tmp_path, monkeypatch, capsys, blank_figures
):
    monkeypatch.chdir(tmp_path)
    axes = ("lr_octave=0,1", "objective.scale=1,0.5", "-m", "max_steps=4")
    why = {
        "error_power": "8 runs in 1 stack of 8",
        "unstacked": "4 runs one by one: the loss refuses to be stacked: vmap: ",
        "Counting": "4 runs one by one: its forward changes Counting.calls",
    }
    for name, line in why.items():
        more = ["convention=pytorch,wirtinger"] if name == "error_power" else []
        assert main([*SMALL, *asked(name), *axes, *more, f"hydra.sweep.dir={name}"]) == 0
        assert line in " ".join(capsys.readouterr().err.split())
        records = [read_record(path) for path in (tmp_path / name).glob("*/run.json")]
        assert {record["engine"] for record in records} == {
            "stack" if name == "error_power" else "single"
        }
        assert {record["config"]["objective"]["loss"] for record in records} == {f"losslab.{name}"}
        assert list((tmp_path / name).glob("report/*.html"))


def test_runs_that_differ_in_a_number_of_the_loss_have_losses_of_their_own():
    few = ("data=equalizer", "model=mlp", "objective=complex_huber")
    small, large = (configured(*few, f"objective.delta={delta}") for delta in (0.1, 10.0))
    assert structure(small) != structure(large)
    assert structure(small) == structure(configured(*few, "objective.delta=0.1", "seed=3"))


def test_a_public_loss_of_torch_needs_no_trust():
    config = configured(
        *SMALL, "objective=custom", "objective._target_=torchcvnn.nn.ComplexMSELoss"
    )
    objective = Task(config).objective
    output, target = torch.randn(2, 5, 3, dtype=torch.complex64)
    assert torch.equal(objective.loss_value(output, target), complex_mse(output, target))
