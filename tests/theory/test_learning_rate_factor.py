"""The factor of a learning rate from the complex share, against plain gradient descent."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvtrain import theory

SHARES = st.floats(0, 1)


def test_a_real_network_keeps_its_rate_and_a_complex_one_takes_twice_that():
    assert theory.factor_octaves(0.0) == 0
    assert theory.factor_octaves(1.0) == 1
    assert theory.factor_octaves(1.0, gradient_factor=0.25) == 2
    assert theory.factor_octaves(1.0, gradient_factor=2.0) == -1


@given(SHARES, st.floats(0.1, 4))
def test_one_share_is_the_first_order_formula(share, factor):
    expected = -math.log2(1 - (1 - factor) * share)
    assert theory.factor_octaves(share, gradient_factor=factor) == pytest.approx(expected)
    constant = theory.factor_octaves([share] * 3, [0, 1, 7], gradient_factor=factor)
    assert constant == pytest.approx(expected)


def test_times_weigh_the_shares():
    assert theory.factor_octaves([1, 1, 0], [0, 9, 10]) == pytest.approx(math.log2(0.95 * 2 + 0.05))


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="from 0 to 1"):
        theory.factor_octaves([0.5, 1.5])
    with pytest.raises(ValueError, match="ascending"):
        theory.factor_octaves([0.5, 0.5], [1, 1])
    with pytest.raises(ValueError, match="gradient_factor"):
        theory.factor_octaves(0.5, gradient_factor=0)
    with pytest.raises(ValueError, match="level"):
        theory.flow_shift([1], [1], [True], 1.0)


def descent_shift(energies, curvatures, is_complex, level, factor):
    """The same by gradient descent in tiny steps on real coordinates, a pair per complex mode."""

    def steps_to_level(c):
        copies = np.where(is_complex, 2, 1)
        x = np.repeat(np.sqrt(2 * energies / curvatures / copies), copies)
        curved = np.repeat(curvatures, copies)
        slowed = np.repeat(np.where(is_complex, c, 1.0), copies)
        lr, steps = 1e-4, 0
        first = (curved * x**2).sum() / 2
        while (curved * x**2).sum() / 2 > level * first:
            x = x - lr * slowed * curved * x
            steps += 1
        return steps

    return math.log2(steps_to_level(factor) / steps_to_level(1.0))


@pytest.mark.parametrize("factor", [0.5, 0.25, 2.0])
def test_the_shift_of_gradient_flow_is_that_of_gradient_descent_in_small_steps(factor):
    energies, curvatures = np.array([1.0, 2.0, 0.5]), np.array([1.0, 0.4, 2.0])
    is_complex = np.array([True, False, True])
    shift = theory.flow_shift(energies, curvatures, is_complex, 0.3, gradient_factor=factor)
    expected = descent_shift(energies, curvatures, is_complex, 0.3, factor)
    assert shift == pytest.approx(expected, abs=2e-3)


@given(st.floats(0.05, 0.95), st.floats(0.3, 3))
def test_the_share_predicts_the_shift_while_the_loss_has_hardly_fallen(share, ratio):
    """To first order: the share is that of the squared gradient, 2·energy·curvature of a mode."""
    curvatures = np.array([ratio, 1.0])
    energies = np.array([share, 1 - share]) / curvatures
    shift = theory.flow_shift(energies, curvatures, [True, False], 1 - 1e-5)
    assert shift == pytest.approx(theory.factor_octaves(share), abs=1e-4)


def test_deep_in_the_training_the_slower_group_decides():
    curvatures = [0.1, 1.0]
    assert theory.flow_shift([1, 1], curvatures, [True, False], 1e-8) == pytest.approx(1, abs=1e-3)
    assert theory.flow_shift([1, 1], curvatures, [False, True], 1e-8) == pytest.approx(0, abs=1e-3)
