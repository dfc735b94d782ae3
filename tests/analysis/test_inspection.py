"""Inspection with each fault planted, and of torchcvnn's layers and networks."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
import torchcvnn.nn as c
from torch import nn
from torch.nn import functional as F

import cvtrain
from cvtrain.models import MixedMlp
from cvtrain.process.errors import InputError
from tests.analysis import inspected
from tests.analysis.inspected import Faulty, RandomlyWrong

X = torch.randn(40, 6, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
Y = X[:, :3] * (1 + 1j)
LABELS = (X[:, 0].real > 0).long()
SOURCE = Path(inspected.__file__).read_text(encoding="utf-8").splitlines()
MSE = c.ComplexMSELoss()


@pytest.fixture(autouse=True)
def seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def line_of(text, after=""):
    """The number of the first line with a text, behind one with another."""
    begin = next((i for i, line in enumerate(SOURCE) if after in line), 0)
    return next(i for i, line in enumerate(SOURCE, 1) if i > begin and text in line)


def test_a_network_without_faults_has_pytorchs_convention_and_is_left_alone():
    network = Faulty()
    before = {name: p.clone() for name, p in network.state_dict().items()}
    seen = cvtrain.inspect(network, X, Y, MSE)
    assert seen.ok
    assert seen.convention == "pytorch"
    assert (seen.effect, seen.complex_share, seen.octaves) == ("relabelling", 1, 1)
    assert seen.dtype == torch.complex128
    assert all(torch.equal(before[n], p) for n, p in network.state_dict().items())
    assert all(p.grad is None and p.dtype == torch.complex64 for p in network.parameters())


FAULTS = [
    # fault, state or convention of the first layer, module, place, what is said
    ("square", "wrong", "first (Squared)", ("def backward", "class Square("), "not the derivative"),
    ("halving", "wirtinger", "Faulty", ("def backward", "class Halving"), "half of PyTorch's"),
    ("conjugated", "unconjugated", "Faulty", ("def conjugated", ""), "no direction of descent"),
    ("cast", "pytorch", "Faulty", ("# the cast", ""), "a cast that drops imaginary parts"),
    (
        "detached",
        "detached",
        "Faulty",
        ("def forward", "class Faulty"),
        "although the loss depends",
    ),
    ("nan", "not finite", None, None, "NaN or infinite"),
]


@pytest.mark.parametrize(("fault", "state", "module", "place", "said"), FAULTS)
def test_a_planted_fault_is_found_with_its_place(fault, state, module, place, said):
    seen = cvtrain.inspect(Faulty(fault), X, Y, MSE)
    assert not seen.ok
    reading = seen.parameters[0].reading
    assert state in (reading.state, reading.convention)
    assert said in " ".join(seen.faults)
    if place is None:
        return
    (culprit,) = seen.culprits
    assert culprit.module == module
    assert re.fullmatch(r".*inspected\.py:(\d+)", culprit.location)[1] == str(line_of(*place))
    assert seen.parameters[-1].reading.convention in ("pytorch", state)


def test_a_parameter_that_is_not_used_is_a_fault_and_one_that_is_not_trained_is_none():
    network = Faulty("spare")
    seen = cvtrain.inspect(network, X, Y, MSE)
    assert "does not depend on the parameter: spare.weight, spare.bias" in seen.faults[0]
    assert seen.effect == "relabelling"
    network.spare.requires_grad_(False)
    seen = cvtrain.inspect(network, X, Y, MSE)
    assert seen.ok
    assert seen.parameters[-1].reading is None


def test_half_by_a_hook_on_every_parameter_is_a_convention_and_no_fault():
    seen = cvtrain.inspect(Faulty("halved"), X, Y, MSE)
    assert seen.ok
    assert seen.convention == "wirtinger"
    assert f"inspected.py:{line_of('def halved')})" in " ".join(seen.notes)


def test_dead_units_are_counted():
    seen = cvtrain.inspect(Faulty("dead"), X, Y, MSE)
    assert seen.ok
    dead = {p.name: (p.dead, p.units) for p in seen.parameters}
    assert dead["first.weight"] == (1, 8)
    assert dead["last.weight"] == (0, 3)
    assert "first.weight (1 of 8)" in " ".join(seen.notes)


def half_hidden(output, target):
    return F.mse_loss(torch.view_as_real(output), torch.view_as_real(target))


LOSSES = [
    (MSE, Y, "mean |ŷ − y|²", 1),
    (half_hidden, Y, "mean |ŷ − y|²", 0.5),
    (lambda o, y: (o - y).abs().square().sum(), Y, "mean |ŷ − y|²", 24),
    (lambda o, y: (o - y).abs().square().sum(1), Y, "mean |ŷ − y|²", 3),
    (lambda o, y: 0.5 * F.cross_entropy(o.abs(), y), LABELS, "mean cross-entropy of |z|", 0.5),
    (lambda o, y: (o - y).abs().pow(1.5).mean(), Y, None, None),
]


@pytest.mark.parametrize(("loss", "targets", "formula", "constant"), LOSSES)
def test_a_constant_in_the_loss_is_seen_where_the_loss_is_known(loss, targets, formula, constant):
    seen = cvtrain.inspect(Faulty(), X, targets, loss)
    assert seen.ok
    said = " ".join(seen.notes)
    if formula is None:
        assert seen.loss is None
        assert "would not be noticed" in said
        return
    assert (seen.loss.formula, seen.loss.constant) == (formula, pytest.approx(constant))
    assert ("A ½ is hidden" in said) == (constant == 0.5)
    assert ("view_as_real" in said) == (loss is half_hidden)


class HalfLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, error):
        ctx.save_for_backward(error)
        return error.abs().square().mean()

    @staticmethod
    def backward(ctx, g):
        (error,) = ctx.saved_tensors
        return g * error / error.numel()


def test_a_wrong_backward_of_the_loss_is_found_there():
    seen = cvtrain.inspect(RealAndComplex(), X, Y, lambda o, y: HalfLoss.apply(o - y))
    assert not seen.ok
    assert "is 0.5 × PyTorch's gradient: turn" in " ".join(seen.faults)
    (culprit,) = seen.culprits
    assert culprit.module == "the loss"
    assert "test_inspection.py" in culprit.location


class RealAndComplex(nn.Module):
    """A real parameter in front of a complex one."""

    def __init__(self):
        super().__init__()
        self.turn = nn.Parameter(torch.ones(6))
        self.linear = nn.Linear(6, 3, dtype=torch.complex64)

    def forward(self, x):
        return self.linear(self.turn * x)


@pytest.mark.parametrize("loss", [F.cross_entropy, nn.CrossEntropyLoss(reduction="sum")])
def test_the_share_is_that_of_the_squared_gradient_of_all_samples(loss, monkeypatch):
    monkeypatch.setattr("cvtrain.analysis.inspection.PIECE", 16)  # of 40: the last one is smaller
    network = MixedMlp(6, 2, hidden=(8,), dtype=torch.complex128)
    seen = cvtrain.inspect(network, X.to(torch.complex128), LABELS, loss)
    torch.autograd.backward(loss(network(X.to(torch.complex128)), LABELS))
    squares = {n: float(p.grad.abs().square().sum()) for n, p in network.named_parameters()}
    s = sum(squares[n] for n in ("trunk.0.weight", "trunk.0.bias")) / sum(squares.values())
    assert seen.samples == 40
    assert seen.effect == "shift"
    assert seen.complex_share == pytest.approx(s, rel=1e-12)
    assert seen.octaves == pytest.approx(-math.log2(1 - s / 2), rel=1e-12)
    assert {p.name: p.norm**2 for p in seen.parameters} == pytest.approx(squares)


class Real(nn.Module):
    """Real and imaginary parts as real numbers."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(12, 2)

    def forward(self, x):
        return self.linear(torch.view_as_real(x).flatten(1))


def test_the_factor_does_nothing_to_a_real_network():
    seen = cvtrain.inspect(Real(), X, LABELS, F.cross_entropy)
    assert seen.ok
    assert (seen.effect, seen.convention, seen.octaves) == ("nothing", None, 0)


def test_what_cannot_be_inspected_is_a_line():
    for network, loss, said in [
        (RandomlyWrong(), MSE, "differs between two calls"),
        (
            Faulty(),
            lambda o, y: (o - y).mean(),
            "loss: should be a real number, is torch.complex128",
        ),
        (nn.Linear(5, 3, dtype=torch.complex64), MSE, "module: it fails: "),
        (Faulty().requires_grad_(False), MSE, "depends on no parameter"),
    ]:
        with pytest.raises(InputError) as caught:
            cvtrain.inspect(network, X, Y, loss)
        assert said in str(caught.value)


class Counting(nn.Module):
    """Its output grows with the number of calls, which a buffer counts."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3, dtype=torch.complex64)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.calls * self.linear(x)


def test_buffers_are_put_back_between_calls():
    network = Counting()
    assert cvtrain.inspect(network, X, Y, MSE).ok
    assert network.calls == 0


class SinglePrecision(nn.Module):
    """Insists on complex64."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3, dtype=torch.complex64)

    def forward(self, x):
        return F.linear(x.to(torch.complex64), self.linear.weight)


def test_a_network_that_does_not_run_in_double_precision_is_measured_in_its_own():
    seen = cvtrain.inspect(SinglePrecision(), X, Y, MSE)
    assert seen.dtype == torch.complex64
    assert seen.parameters[0].reading.convention == "pytorch"
    assert "Measured in single precision" in " ".join(seen.notes)


def test_it_shows_itself_in_80_columns_and_in_a_notebook():
    seen = cvtrain.inspect(Faulty("square"), X, Y, MSE)
    text, html = str(seen), seen._repr_html_()
    assert max(map(len, text.splitlines())) <= 80
    for part in ("first.linear.weight", "8×6", "complex", "wrong", "2 ∂L/∂w*", "WRONG: "):
        assert part in text
        assert part in html
    assert repr(seen).startswith("Inspection(ok=False, ")
    assert html.count("<tr>") == 5


def layer(module):
    return nn.Sequential(nn.Linear(6, 8, dtype=torch.complex64), module, Last())


class Last(nn.Linear):
    def __init__(self):
        super().__init__(8, 3, dtype=torch.complex64)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.last = c.MultiheadAttention(6, 2, batch_first=True), Last()
        self.last = nn.Linear(6, 3, dtype=torch.complex64)

    def forward(self, x):
        sequence = x.reshape(-1, 2, 6)
        return self.last(self.attention(sequence, sequence, sequence)).reshape(-1, 3)


class Image(nn.Module):
    """A small version of torchcvnn's example on MNIST: its layers, and moduli at the end."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3, dtype=torch.complex64),
            c.BatchNorm2d(4),
            c.modReLU(),
            c.AvgPool2d(2, 2),
            nn.Flatten(),
            nn.Linear(16, 2, dtype=torch.complex64),
            c.Mod(),
        )

    def forward(self, x):
        return self.layers(torch.cat([x] * 6, dim=1).reshape(-1, 1, 6, 6))


TORCHCVNN = {
    **{
        name: lambda name=name: layer(getattr(c, name)())
        for name in ("CReLU", "zReLU", "zLeakyReLU", "modReLU", "Cardioid", "CTanh", "Dropout")
    },
    "BatchNorm1d": lambda: layer(c.BatchNorm1d(8)),
    "LayerNorm": lambda: layer(c.LayerNorm(8)),
    "MultiheadAttention": Attention,
}


@pytest.mark.parametrize("name", TORCHCVNN)
def test_layers_of_torchcvnn_have_pytorchs_convention(name):
    seen = cvtrain.inspect(TORCHCVNN[name](), X, Y, MSE)
    assert seen.ok, str(seen)
    assert seen.convention == "pytorch"
    assert "view_as_real" not in str(seen)


def test_a_network_of_torchcvnns_examples_is_inspected():
    seen = cvtrain.inspect(Image(), X, LABELS, F.cross_entropy)
    assert seen.ok, str(seen)
    assert (seen.convention, seen.effect) == ("pytorch", "shift")
    assert {p.name: p.reading.state for p in seen.parameters}["layers.0.bias"] in (
        "zero",
        "unclear",
    )
    assert 0 < seen.octaves < 1


def test_a_threshold_that_torchcvnn_never_trains_is_seen():
    seen = cvtrain.inspect(layer(c.zAbsReLU()), X, Y, MSE)
    assert [p.name for p in seen.parameters if p.reading.state == "unused"] == ["1.a"]
    assert not seen.ok
