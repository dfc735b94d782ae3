"""`cvtrain inspect`: what it prints, and its exit status for a CI."""

from __future__ import annotations

import sys

import pytest
import torch

from cvtrain.cli import inspect, train
from cvtrain.training.task import Task
from tests.training.trained_runs import configured

NETWORKS = """
import torch
from torch import nn


class Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z):
        return z.conj()

    @staticmethod
    def backward(ctx, g):
        return g


class Net(nn.Module):
    def __init__(self, in_features, out_features, dtype, wrong=False):
        super().__init__()
        self.layer, self.wrong = nn.Linear(in_features, out_features, dtype=dtype), wrong

    def forward(self, x):
        x = self.layer(x.flatten(1))
        return Wrong.apply(x) if self.wrong else x
"""
MODULES = (
    NETWORKS
    + """
from lightning.pytorch import LightningModule


class Lit(LightningModule):
    def __init__(self, in_features, out_features, dtype, wrong=False, lr=0.1):
        super().__init__()
        self.net, self.gain = Net(in_features, out_features, dtype), nn.Parameter(torch.ones(1))
        self.wrong = wrong

    def training_step(self, batch, batch_idx):
        x, y = batch
        z = self.net(x)
        self.log("train_size", z.abs().mean())
        assert self.trainer.world_size == 1
        scores = self.gain * (Wrong.apply(z) if self.wrong else z).abs()
        return nn.functional.cross_entropy(scores, y)


class ByHand(Lit):
    automatic_optimization = False


class Summing(Lit):
    def training_step(self, batch, batch_idx):
        return len(batch[1]) * super().training_step(batch, batch_idx)
"""
)
LIT = ("module=custom", "trusted_modules=[radarlab]", "module._target_=radarlab.")
OWN = ("model=custom", "model._target_=radarlab.Net", "trusted_modules=[radarlab]")


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    (tmp_path / "radarlab.py").write_text(MODULES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("radarlab", None)


def test_a_network_in_order_ends_with_0_and_leaves_no_file(tmp_path, capsys):
    assert inspect.main(["model.hidden=[4]", "data=digits_fft"]) == 0
    out = capsys.readouterr().out
    assert "MixedMlp: mixed" in out
    assert "trunk.0.weight  4×64" in out
    assert "octaves" in out
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".py"] in (
        [],
        ["__pycache__"],
    )


def test_a_wrong_backward_ends_with_1_and_its_line(capsys):
    assert inspect.main([*OWN]) == 0
    capsys.readouterr()
    assert inspect.main([*OWN, "model.args.wrong=true"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "WRONG: Reason: the backward of Wrong in Net (radarlab.py:12)." in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["modl=mlp"], "did you mean model"),
        (["seed=0,1"], "several values are a sweep"),
        (["model=cnn", "data=equalizer"], "input_shape=[3]: should be that of images"),
        ([*OWN, "objective=complex_mse"], "module: it fails: "),
        (["--nonsense"], "see --help"),
        ([*LIT[:2], f"{LIT[2]}ByHand"], "in manual optimization its training_step steps by itself"),
        ([*LIT[:2], f"{LIT[2]}Net"], "should be a LightningModule with a training_step"),
    ],
)
def test_bad_input_is_a_line(capsys, words, said):
    assert inspect.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("cvtrain inspect: ")
    assert said in line


def test_the_weights_are_those_of_a_run(tmp_path, capsys):
    network = ("model.hidden=[4]", "max_steps=20", "optimizer=adam")
    assert train.main([*network, "hydra.run.dir=run"]) == 0
    shares = []
    for start in ([], ["start_from=run"]):
        capsys.readouterr()
        assert inspect.main([*network, *start]) == 0
        shares.append(capsys.readouterr().out.split("carry s = ")[1].split()[0])
    assert shares[0] != shares[1]


def test_help_is_its_own(capsys):
    assert inspect.main(["--help"]) == 0
    assert "start_from takes the weights of a run" in capsys.readouterr().out


def test_the_share_is_averaged_along_a_short_training(capsys):
    assert inspect.main(["model.hidden=[4]", "data=digits_fft", "steps=3"]) == 0
    assert "Averaged over 3 updates of SGD at the rate" in capsys.readouterr().out


@pytest.mark.parametrize("steps", ["0", "many", "-1", "1.5", "", "99999999"])
def test_steps_are_a_whole_number(steps, capsys):
    assert inspect.main([f"steps={steps}"]) == 2
    assert f"steps={steps}: should be a whole number from 1" in capsys.readouterr().err


def test_a_lightning_module_is_inspected_by_its_training_step(capsys):
    task = Task(configured(*LIT[:2], f"{LIT[2]}Lit"))
    inspection = inspect.inspect_task(task)
    assert inspection.ok
    assert inspection.convention == "pytorch"
    assert [row.name for row in inspection.parameters] == [
        "gain", "net.layer.weight", "net.layer.bias",
    ]  # fmt: skip
    # The gradient is that of the whole training set.
    network, train = task.model(), task.dataset.train
    scores = network.gain * network.net(train.inputs).abs()
    torch.nn.functional.cross_entropy(scores, train.targets).backward()
    for row, p in zip(inspection.parameters, network.parameters(), strict=True):
        assert row.norm == pytest.approx(p.grad.norm().item(), rel=1e-4)
    summed = inspect.inspect_task(Task(configured(*LIT[:2], f"{LIT[2]}Summing")))
    assert summed.parameters[0].norm == pytest.approx(
        len(train) * inspection.parameters[0].norm, rel=1e-4
    )


def test_a_wrong_backward_in_a_training_step_is_named(capsys):
    words = [*LIT[:2], f"{LIT[2]}Lit", "module.wrong=true"]
    assert inspect.main(words) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "WRONG: Reason: a wrong backward in the step (radarlab.py:12)." in out
