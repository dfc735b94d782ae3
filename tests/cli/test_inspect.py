"""`cvtrain inspect`: what it prints, and its exit status for a CI."""

from __future__ import annotations

import sys

import pytest

from cvtrain.cli import inspect, train

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
OWN = ("model=custom", "model._target_=radarlab.Net", "trusted_modules=[radarlab]")


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    (tmp_path / "radarlab.py").write_text(NETWORKS)
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
