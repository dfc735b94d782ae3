"""Readings of gradients against functions whose derivatives are known."""

from __future__ import annotations

import pytest
import torch

from cvtrain.gradients.convention import CONVENTIONS
from cvtrain.gradients.directional import read_gradients

X = torch.tensor([1 + 1j, 2 - 1j, -0.5 + 3j], dtype=torch.complex128)


class Instead(torch.autograd.Function):
    """The identity, with another backward."""

    @staticmethod
    def forward(ctx, z, backward):
        ctx.backward_of = backward
        return z.clone()

    @staticmethod
    def backward(ctx, g):
        return ctx.backward_of(g), None


def leaf(*values, dtype=torch.complex128):
    return torch.tensor(values, dtype=dtype).requires_grad_()


def reading(function, **variables):
    return read_gradients(function, variables)


def loss_of(w, backward):
    return (Instead.apply(w, backward) * X - 1).abs().square().mean()


@pytest.mark.parametrize("name", CONVENTIONS)
def test_every_convention_is_recognised_by_its_name(name):
    w = leaf(0.3 + 1j, -1j, 2.0)
    before = w.detach().clone()
    convention = CONVENTIONS[name]
    (read,) = reading(
        lambda: loss_of(w, lambda g: convention.apply(g.unsqueeze(0))[0]), w=w
    ).values()
    assert (read.state, read.convention) == ("read", name)
    assert read.error < 1e-8
    assert read.contradicts == (name != "pytorch")
    assert torch.equal(w, before)


@pytest.mark.parametrize("factor", [3.0, -1.0])
def test_another_factor_is_measured(factor):
    w = leaf(0.3 + 1j, -1j, 2.0)
    read = reading(lambda: loss_of(w, lambda g: factor * g), w=w)["w"]
    assert read.state == "factor"
    assert read.factor == pytest.approx(factor, rel=1e-8)


@pytest.mark.parametrize(
    "wrong", [lambda g: g.real.to(g.dtype), lambda g: g * 1.001 ** torch.arange(3)]
)
def test_a_gradient_that_is_none_of_them_is_wrong_however_little(wrong):
    w = leaf(0.3 + 1j, -1j, 2.0)
    read = reading(lambda: loss_of(w, wrong), w=w)["w"]
    assert read.state == "wrong"
    assert read.contradicts


def test_a_real_parameter_has_no_other_convention():
    w = leaf(0.3, -1.0, 2.0, dtype=torch.float64)
    assert reading(lambda: loss_of(w, lambda g: g), w=w)["w"].convention == "pytorch"
    half = reading(lambda: loss_of(w, lambda g: g / 2), w=w)["w"]
    assert (half.state, half.factor) == ("factor", pytest.approx(0.5))


def test_parameters_without_a_gradient_are_told_apart():
    unused, detached, zero, nan, good = (leaf(1 + 2j, 0.5 - 1j) for _ in range(5))

    def function():
        free = detached.detach().abs().square().sum() + (0 * zero).real.sum()
        infinite = (nan - nan.detach()).abs().sqrt().sum()
        return good.abs().square().sum() + free + infinite

    read = reading(function, unused=unused, detached=detached, zero=zero, nan=nan, good=good)
    assert {name: r.state for name, r in read.items()} == {
        "unused": "unused",
        "detached": "detached",
        "zero": "zero",
        "nan": "not finite",
        "good": "read",
    }


def test_what_rounding_leaves_of_zero_is_zero():
    w, b = leaf(1 + 2j, 0.5 - 1j), leaf(0.25 + 1j)

    def function():
        z = w * X[:2] + b  # the mean goes away, and b with it
        return (z - z.mean()).abs().pow(3).sum()

    assert [r.state for r in reading(function, w=w, b=b).values()] == ["read", "zero"]


def test_a_kink_is_no_fault():
    w = leaf(0.0, 1.0, dtype=torch.float64)
    assert reading(lambda: torch.relu(3 * w).sum() + w.sum(), w=w)["w"].state == "kink"
    z = leaf(1e-3 + 0j, 1j - 1)  # near a kink, and not at it
    assert reading(lambda: torch.relu(z.real).sum() + z.abs().sum(), z=z)["z"].state == "read"


def test_a_small_wrong_gradient_beside_a_large_right_one_is_seen():
    large, small = leaf(100 + 1j, 200j), leaf(0.01 + 0.01j, 0.02)

    def function():
        halved = Instead.apply(small, lambda g: g / 2)
        return large.abs().square().sum() + halved.abs().square().sum()

    read = reading(function, large=large, small=small)
    assert read["large"].convention == "pytorch"
    assert read["small"].convention == "wirtinger"


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_half_is_told_from_the_whole_in_either_precision(dtype):
    w = leaf(0.3 + 1j, -1j, 2.0, dtype=dtype)

    def function(backward):
        return (Instead.apply(w, backward) * X.to(dtype) - 1).abs().square().mean()

    whole, half = (
        reading(lambda b=backward: function(b), w=w)["w"].convention
        for backward in (lambda g: g, lambda g: g / 2)
    )
    assert (whole, half) == ("pytorch", "wirtinger")


def test_a_kink_as_near_as_rounding_allows_hides_no_gradient():
    w = leaf(1.0, dtype=torch.float64)
    read = reading(lambda: (w + 0.3 * torch.relu(w - 1 - 5e-7)).sum(), w=w)["w"]
    assert (read.state, read.convention) == ("read", "pytorch")


def test_variables_without_a_gradient_are_read_together():
    calls = 0

    def loss():
        nonlocal calls
        calls += 1
        centred = [b - b.mean() for b in idle.values()]  # as a bias before a normalisation
        return (w * X - 1).abs().square().mean() + sum(c.sum().abs().square() for c in centred)

    w = leaf(0.3 + 1j, -1j, 2.0)
    idle = {f"b{i}": leaf(*torch.randn(4, dtype=torch.complex128).tolist()) for i in range(20)}
    readings = reading(loss, w=w, **idle)
    assert {readings[name].state for name in idle} == {"zero"}
    assert readings["w"].state == "read"
    assert calls < 200
