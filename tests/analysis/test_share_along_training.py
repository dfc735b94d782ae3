"""The share of the gradient along a short training, against the recursion of a quadratic."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from cvtrain.analysis import inspection
from cvtrain.analysis.inspection import inspect

STEPS = 9


class Two(nn.Module):
    """A complex and a real number, which the loss takes apart."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([2 + 1j]))
        self.r = nn.Parameter(torch.tensor([1.5]))
        self.unused = nn.Parameter(torch.tensor([1.0]), requires_grad=False)

    def forward(self, x):
        return torch.stack((x[:, 0] * self.w, 0.5 * x[:, 1] * self.r), dim=1)


def power(output, target):
    return output.abs().square().sum(1).mean()


X = torch.ones(80, 2, dtype=torch.complex64)


def test_the_share_of_a_quadratic_is_averaged_along_its_descent():
    network = Two()
    seen = inspect(network, X, X, power, steps=STEPS)
    # L = |w|² + r²/4: g_w = 2w and g_r = r/2, so both decay geometrically.
    w, r = abs(2 + 1j), 1.5
    along = seen.along
    assert along.rate == pytest.approx(0.02 * (w**2 + r**2 / 4) / (4 * w**2 + r**2 / 4))
    shares = []
    for _ in range(STEPS + 1):
        shares.append(4 * w**2 / (4 * w**2 + r**2 / 4))
        w, r = w * (1 - 2 * along.rate), r * (1 - along.rate / 2)
    assert seen.complex_share == pytest.approx(shares[0])
    assert along.share == pytest.approx(sum(shares) / len(shares), rel=1e-9)
    assert along.share < seen.complex_share
    assert seen.average_octaves == pytest.approx(-math.log2(1 - along.share / 2))
    assert f"Averaged over {STEPS} updates of SGD" in seen.sentences[-1]
    assert network.w.item() == 2 + 1j  # a copy was trained


def test_nothing_is_trained_where_the_answer_is_known_or_a_gradient_is_wrong():
    assert inspect(nn.Linear(2, 1, dtype=X.dtype), X, X[:, :1], power, steps=3).along is None
    faulty = Two()
    faulty.w.register_hook(lambda g: 1j * g)
    seen = inspect(faulty, X, X, power, steps=3)
    assert not seen.ok
    assert seen.along is None


def test_a_gradient_that_takes_long_is_of_some_samples_and_says_so(monkeypatch):
    monkeypatch.setattr(inspection, "SECONDS", -1.0)
    monkeypatch.setattr(inspection, "PIECE", 16)
    seen = inspect(Two(), X, X, power, steps=2)
    assert (seen.samples, seen.available) == (16, 80)
    assert "Gradients and shares are of the first 16 of 80 samples" in " ".join(seen.sentences)
