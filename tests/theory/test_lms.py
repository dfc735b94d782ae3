"""Closed forms of LMS against each other, against the recursion, and against LMS itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvtrain import theory
from cvtrain.data.random import complex_gaussian
from tests.theory.white_lms import WhiteInput

NOISE = 0.01  # J_min
TAPS = 4

whites = st.builds(
    WhiteInput,
    taps=st.integers(1, 4),
    power=st.floats(0.1, 10),
    circularity=st.floats(0, 1),
    gradient_factor=st.sampled_from([0.5, 1.0, 2.0]),
)
batches = st.integers(1, 5)


def coloured(circularity=0.6):
    """R and P of a random unitary mixture of independent components with unequal powers."""
    generator = np.random.default_rng(0)
    unitary = np.linalg.qr(complex_gaussian(generator, (TAPS, TAPS)))[0]
    powers = np.diag(np.geomspace(0.2, 2, TAPS))
    return unitary @ powers @ unitary.conj().T, circularity * unitary @ powers @ unitary.T


@given(whites, batches)
def test_white_input_is_a_case_of_the_general_formulas(white, batch):
    r, p = white.moments()
    moments = {"covariance": r, "pseudo_covariance": p}
    setting = {**moments, "batch": batch, "gradient_factor": white.gradient_factor}
    limit = white.mean_square_limit(batch)
    assert theory.lms_mean_square_limit(**setting) == pytest.approx(limit, rel=1e-10)
    for fraction in (0.1, 0.5, 0.9):
        lr = fraction * limit
        misadjustment = theory.lms_misadjustment(lr=lr, **setting)
        assert misadjustment == pytest.approx(white.misadjustment(lr, batch), rel=1e-8)
        contraction = theory.lms_contraction(lr=lr, **setting)
        assert contraction == pytest.approx(white.contraction(lr, batch), abs=1e-10)
    assert white.misadjustment(1.001 * limit, batch) == np.inf


@given(whites, batches)
def test_the_fastest_step_of_white_input_is_half_of_the_limit(white, batch):
    r, p = white.moments()
    lr, rate = white.fastest(batch)
    fastest = theory.lms_fastest(
        r, pseudo_covariance=p, batch=batch, gradient_factor=white.gradient_factor
    )
    assert fastest.rate == pytest.approx(rate, abs=1e-10)
    assert fastest.lr == pytest.approx(lr, rel=1e-4)
    assert 2 * lr == white.mean_square_limit(batch)


@pytest.mark.parametrize("circularity", [0.0, 0.6])
@pytest.mark.parametrize("batch", [1, 4])
def test_the_limit_is_where_the_recursion_stops_shrinking(circularity, batch):
    r, p = coloured(circularity)
    limit = theory.lms_mean_square_limit(r, pseudo_covariance=p, batch=batch)

    def growth(lr):
        setting = {"lr": lr, "steps": 400, "pseudo_covariance": p, "batch": batch}
        curve = theory.lms_excess_curve(r, np.eye(TAPS), **setting)
        return curve[-1] / curve[-2]

    for lr in (0.3 * limit, 0.995 * limit, 1.005 * limit):
        contraction = theory.lms_contraction(r, lr=lr, pseudo_covariance=p, batch=batch)
        assert growth(lr) == pytest.approx(contraction, rel=1e-6)
    assert growth(0.995 * limit) < 1 < growth(1.005 * limit)
    assert limit < theory.lms_mean_limit(r)
    best = theory.lms_fastest(r, pseudo_covariance=p, batch=batch)
    assert best.rate < min(growth(0.9 * best.lr), growth(1.1 * best.lr))


def test_misadjustment_is_where_the_curve_ends():
    r, p = coloured()
    lr = 0.4 * theory.lms_mean_square_limit(r, pseudo_covariance=p)
    curve = theory.lms_excess_curve(
        r, np.eye(TAPS), lr=lr, steps=2000, minimum=NOISE, pseudo_covariance=p
    )
    expected = theory.lms_misadjustment(r, lr=lr, pseudo_covariance=p)
    assert curve[-1] / NOISE == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("batch", [1, 4])
def test_misadjustment_of_circular_input_is_the_textbook_sum(batch):
    r, _ = coloured()
    lr = 0.3 * theory.lms_mean_square_limit(r, batch=batch)
    eigenvalues = np.linalg.eigvalsh(r)
    s = (2 * lr * eigenvalues / (batch * (2 - 2 * lr * eigenvalues))).sum()
    assert theory.lms_misadjustment(r, lr=lr, batch=batch) == pytest.approx(s / (1 - s), rel=1e-10)


@pytest.mark.parametrize("circularity", [0.0, 0.5, 0.9])
def test_the_widely_linear_filter_is_lms_of_the_augmented_input(circularity):
    white = WhiteInput(3, power=0.7, circularity=circularity)
    r, p = theory.augmented(*white.moments())
    limit = theory.lms_mean_square_limit(r, pseudo_covariance=p)
    below, above = (white.widely_linear_misadjustment(f * limit) for f in (1 - 1e-9, 1 + 1e-9))
    assert below > 1e6
    assert above == np.inf
    assert theory.lms_mean_limit(r) == pytest.approx(white.widely_linear_mean_limit(), rel=1e-12)
    lr = 0.4 * limit
    general = theory.lms_misadjustment(r, lr=lr, pseudo_covariance=p)
    assert general == pytest.approx(white.widely_linear_misadjustment(lr), rel=1e-10)
    if circularity == 0:
        assert limit == pytest.approx(1 / (2 * 0.7 * (3 + 1)), rel=1e-12)
        assert limit == pytest.approx(white.mean_square_limit() / 2, rel=1e-12)


@pytest.mark.parametrize("widely_linear", [False, True])
@pytest.mark.parametrize("batch", [1, 4])
def test_lms_itself_follows_the_curve(widely_linear, batch):
    replicates, steps, circularity = 4000, 150, 0.8
    generator = np.random.default_rng(1)
    white = WhiteInput(3, circularity=circularity)
    r, p = white.moments()
    if widely_linear:
        r, p = theory.augmented(r, p)
    lr = 0.5 * theory.lms_mean_square_limit(r, pseudo_covariance=p, batch=batch)
    weights = len(r)
    target = np.full(weights, 0.5 - 0.5j)
    w = np.zeros((replicates, weights), dtype=complex)
    measured = []
    for _ in range(steps + 1):
        error = target - w
        measured.append(np.einsum("ki,ij,kj->k", error.conj(), r, error).real)
        x = complex_gaussian(generator, (replicates, batch, 3), circularity=circularity)
        inputs = np.concatenate([x, x.conj()], -1) if widely_linear else x
        noise = np.sqrt(NOISE) * complex_gaussian(generator, (replicates, batch))
        e = np.einsum("kbi,ki->kb", inputs, error) + noise
        w = w + 2 * lr * np.einsum("kb,kbi->ki", e, inputs.conj()) / batch
    start = np.outer(target, target.conj())
    curve = theory.lms_excess_curve(
        r, start, lr=lr, steps=steps, minimum=NOISE, pseudo_covariance=p, batch=batch
    )
    samples = np.array(measured)
    deviation = samples.std(axis=1, ddof=1) / np.sqrt(replicates)
    early, late = slice(1, 12), slice(steps // 2, None)
    assert (np.abs(samples.mean(axis=1) - curve)[early] < 4 * deviation[early]).all()
    per_run = samples[late].mean(axis=0)  # steps of one run are correlated, runs are not
    off = per_run.mean() - curve[late].mean()
    assert abs(off) < 2 * per_run.std(ddof=1) / np.sqrt(replicates)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.lms_misadjustment(np.eye(2), lr=0.1, batch=0), "batch=0: should"),
        (lambda: theory.lms_misadjustment(np.eye(2), lr=1.0), r"lr=1\.0: should be below .*limit"),
        (
            lambda: theory.lms_mean_square_limit(np.eye(2), pseudo_covariance=2 * np.eye(2)),
            "should be those of a random vector",
        ),
        (
            lambda: theory.lms_mean_square_limit(
                np.eye(2), pseudo_covariance=[[0, 0.5], [-0.5, 0]]
            ),
            "pseudo_covariance: should be symmetric",
        ),
        (
            lambda: theory.lms_mean_square_limit(np.eye(2), pseudo_covariance=np.eye(3)),
            r"pseudo_covariance of shape \[3, 3\]: should be \[2, 2\]",
        ),
        (
            lambda: theory.lms_excess_curve(np.eye(2), np.eye(3), lr=0.1, steps=1),
            r"error_covariance of shape \[3, 3\]: should be \[2, 2\]",
        ),
    ],
)
def test_what_is_out_of_range_is_refused_in_a_line(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_moments_of_samples_are_those_of_the_conjugate_inputs():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(50, 3)) * (1 + 2j) + 1j * rng.normal(size=(50, 3)) ** 2
    covariance, pseudo = theory.sample_moments(x)
    u = x.conj()
    for moment, factors in ((covariance, u.conj()), (pseudo, u)):
        outer = [np.outer(a, b) for a, b in zip(u, factors, strict=True)]
        np.testing.assert_allclose(moment, np.mean(outer, axis=0), rtol=1e-12)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_step_has_the_fourth_moment_of_a_gaussian(batch):
    """E[u u* u u*] by pairs, entry by entry, for an error whose covariance is complex."""
    rng = np.random.default_rng(6)
    x = (rng.normal(size=(60, 3)) + 0.4j * rng.normal(size=(60, 3))) @ rng.normal(size=(3, 3))
    r, p = theory.sample_moments(x * np.exp(1j * np.arange(3)))
    e = rng.normal(size=(3, 2)) + 1j * rng.normal(size=(3, 2))
    k = e @ e.conj().T
    assert np.abs(k.imag).max() > 0.1
    lr, minimum = 0.01, 0.3
    mu = 2 * lr
    pairs = (
        np.einsum("ik,lj->iklj", r, r)
        + np.einsum("il,kj->iklj", p, p.conj())
        + np.einsum("ij,lk->iklj", r, r)
    )
    fourth = np.einsum("iklj,kl->ij", pairs, k)
    spread = (r @ k @ r) * (1 - 1 / batch) + fourth / batch
    after = k - mu * (r @ k + k @ r) + mu**2 * (spread + minimum * r / batch)
    curve = theory.lms_excess_curve(
        r, k, lr=lr, steps=1, minimum=minimum, pseudo_covariance=p, batch=batch
    )
    expected = [np.trace(r @ k).real, np.trace(r @ after).real]
    np.testing.assert_allclose(curve, expected, rtol=1e-12)
