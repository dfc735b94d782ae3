"""What eps leaves of a factor on Adam's gradient, against Adam itself."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cvtrain import optim, theory

RATIOS = st.floats(1e-12, 1e6)
FACTORS = st.sampled_from([0.25, 0.5, 2.0])


def distance(size, eps, steps=5):
    """How far Adam moves a weight along a constant gradient whose parts are of this size."""
    weight = torch.zeros(1, dtype=torch.complex128, requires_grad=True)
    optimizer = optim.Adam([weight], lr=1.0, eps=eps)
    for _ in range(steps):
        weight.grad = torch.full_like(weight, complex(size, -size))
        optimizer.step()
    return float(weight.detach().abs())


@given(RATIOS, FACTORS)
def test_along_a_constant_gradient_it_is_exact(ratio, factor):
    """The rate has to make up for what the factor takes from the step."""
    shorter = distance(3.0, 3.0 * ratio) / distance(3.0 * factor, 3.0 * ratio)
    octaves = theory.epsilon_octaves(ratio, gradient_factor=factor)
    assert octaves == pytest.approx(math.log2(shorter), abs=1e-9)


def test_it_goes_from_nothing_to_all_of_the_factor():
    assert theory.epsilon_octaves(0.0) == 0
    assert theory.epsilon_octaves(1e-12) == pytest.approx(1e-12 / math.log(2), rel=1e-9)
    assert theory.epsilon_octaves(math.sqrt(0.5)) == pytest.approx(0.5)
    assert theory.epsilon_octaves(1.0) == pytest.approx(math.log2(1.5))
    assert theory.epsilon_octaves(math.inf) == 1
    assert theory.epsilon_octaves(math.inf, gradient_factor=0.25) == 2


@pytest.mark.parametrize("ratio", [-0.1, math.nan])
def test_a_ratio_is_not_negative(ratio):
    with pytest.raises(ValueError, match="at least 0"):
        theory.epsilon_octaves(ratio)
    with pytest.raises(ValueError, match="gradient_factor"):
        theory.epsilon_octaves(1.0, gradient_factor=ratio)
