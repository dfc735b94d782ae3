"""Closed forms of gradient descent against torch.optim.SGD on the problem itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cvtrain import theory
from cvtrain.data.system_id import system_id
from cvtrain.gradients.convention import CONVENTIONS

DATASET = system_id(samples=400, taps=5, condition_number=10.0, noise=0.1, dtype=torch.complex128)
X, Y = DATASET.train.inputs, DATASET.train.targets
R, P = theory.sample_moments(X.numpy())
OPTIMUM = torch.linalg.lstsq(X, Y).solution
LEAST = float((X @ OPTIMUM - Y).abs().square().mean())


def descend(steps, *, convention="pytorch", scale=1.0, start=None, **settings):
    """Excess losses of `torch.optim.SGD` on the full batch, and the last weight."""
    weight = torch.zeros(5, 1, dtype=torch.complex128) if start is None else start.clone()
    weight.requires_grad_()
    optimizer = torch.optim.SGD([weight], **settings)
    losses = []
    for _ in range(steps + 1):
        optimizer.zero_grad()
        loss = (X @ weight - Y).abs().square().mean()
        losses.append(loss.item() - LEAST)
        (scale * loss).backward()
        weight.grad = CONVENTIONS[convention].apply(weight.grad)
        optimizer.step()
    return np.array(losses)


@pytest.mark.parametrize(
    ("momentum", "nesterov", "convention", "scale", "factor"),
    [
        (0.0, False, "pytorch", 1.0, 1.0),
        (0.9, False, "pytorch", 1.0, 1.0),
        (0.9, True, "pytorch", 1.0, 1.0),
        (0.0, False, "wirtinger", 1.0, 0.5),
        (0.9, True, "pytorch", 0.5, 0.5),
    ],
)
def test_sgd_converges_just_below_the_limit_and_diverges_just_above(
    momentum, nesterov, convention, scale, factor
):
    limit = theory.gd_stability_limit(
        R, momentum=momentum, nesterov=nesterov, gradient_factor=factor
    )
    setting = {
        "convention": convention,
        "scale": scale,
        "momentum": momentum,
        "nesterov": nesterov,
    }
    below = descend(1000, lr=0.995 * limit, **setting)
    above = descend(1000, lr=1.005 * limit, **setting)
    assert below[-1] < 1e-6 * below[0]
    assert above[-1] > 1e3 * above[0]


def test_half_the_gradient_doubles_every_limit():
    assert theory.gd_stability_limit(R, gradient_factor=0.5) == 2 * theory.gd_stability_limit(R)
    assert theory.gd_fastest(R, gradient_factor=0.5).lr == 2 * theory.gd_fastest(R).lr


def test_the_learning_curve_is_sgds_to_ten_digits():
    start = torch.arange(5)[:, None] * torch.tensor(1 - 2j, dtype=torch.complex128)
    lr = 0.4 * theory.gd_stability_limit(R)
    measured = descend(200, lr=lr, start=start) + LEAST
    error = (start - OPTIMUM).numpy()[:, 0]
    expected = theory.gd_learning_curve(R, error, lr=lr, steps=200, minimum=LEAST)
    np.testing.assert_allclose(measured, expected, rtol=1e-10)
    halved = theory.gd_learning_curve(
        R, error, lr=2 * lr, steps=200, minimum=LEAST, gradient_factor=0.5
    )
    np.testing.assert_array_equal(halved, expected)


def test_a_diverging_curve_ends_at_infinity():
    curve = theory.gd_learning_curve(R, np.ones(5), lr=10.0, steps=1000)
    assert np.isinf(curve[-1])


def test_the_fastest_plain_step_contracts_as_predicted_and_no_other_does_better():
    fastest = theory.gd_fastest(R)

    def rate(lr):
        return np.abs(1 - 2 * lr * np.linalg.eigvalsh(R)).max()

    assert fastest.rate == pytest.approx(rate(fastest.lr), rel=1e-12)
    assert rate(fastest.lr) < min(rate(0.99 * fastest.lr), rate(1.01 * fastest.lr))
    assert fastest.rate == pytest.approx(9 / 11, rel=0.1)  # the sample's condition is about 10


def test_the_fastest_heavy_ball_contracts_by_the_root_of_its_momentum():
    fastest = theory.heavy_ball_fastest(R)

    def rate(lr, momentum):
        radii = []
        for eigenvalue in np.linalg.eigvalsh(R):
            alpha = 2 * lr * eigenvalue
            radii.append(np.abs(np.roots([1, alpha - 1 - momentum, momentum])).max())
        return max(radii)

    at_best = rate(fastest.lr, fastest.momentum)
    assert fastest.rate == pytest.approx(np.sqrt(fastest.momentum), rel=1e-12)
    assert at_best == pytest.approx(fastest.rate, rel=1e-6)  # a double root: half of the digits
    for lr, momentum in ((1.02, 1), (0.98, 1), (1, 0.98), (1, 1.02)):
        assert rate(lr * fastest.lr, momentum * fastest.momentum) > at_best
    measured = descend(200, lr=fastest.lr, momentum=fastest.momentum)
    assert (measured[20] / measured[10]) ** (1 / 20) == pytest.approx(fastest.rate, rel=0.1)


def test_the_articles_own_step_is_beyond_its_limit():
    assert theory.gd_stability_limit([[2.0]]) == 0.5
    assert theory.gd_stability_limit([[2.0]], gradient_factor=0.5) == 1.0
    curve = theory.gd_learning_curve([[2.0]], [1.0], lr=1.0, steps=1)
    assert curve[1] / curve[0] == 9  # |1 − 2·lr·|x|²| = 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.gd_stability_limit([[1, 1j], [1j, 1]]), "covariance: should be Hermitian"),
        (lambda: theory.gd_stability_limit([[0.0]]), "covariance: should be positive semidefinite"),
        (lambda: theory.gd_stability_limit([[1, 0], [0, -1]]), "positive semidefinite"),
        (
            lambda: theory.gd_stability_limit([1.0, 2.0]),
            r"\[2\]: should be a square matrix",
        ),
        (lambda: theory.gd_stability_limit([[np.nan]]), "covariance: should be finite"),
        (lambda: theory.gd_stability_limit(R, momentum=1.0), r"momentum=1\.0: should be"),
        (
            lambda: theory.gd_stability_limit(R, gradient_factor=0.0),
            r"gradient_factor=0\.0",
        ),
        (lambda: theory.gd_fastest([[1, 0], [0, 0]]), "eigenvalue of 0"),
        (lambda: theory.gd_learning_curve(R, [1.0], lr=1.0, steps=1), r"\[1\]: should be \[5\]"),
        (lambda: theory.gd_learning_curve(R, np.ones(5), lr=-1.0, steps=1), r"lr=-1\.0: should be"),
        (lambda: theory.sample_moments(np.ones(3)), r"inputs of shape \[3\]: should be"),
    ],
)
def test_what_is_out_of_range_is_refused_in_a_line(call, message):
    with pytest.raises(ValueError, match=message):
        call()
