"""How far learning rates lie apart: the best one, the cliff above it, and the window around it."""

from __future__ import annotations

import numpy as np
import pytest

from cvtrain.analysis.compare import compare
from cvtrain.analysis.lr_shift import best_octave, good_window
from tests.analysis.synthetic import HALVED, row, sweep_of

RATES = (0.0625, 0.125, 0.25, 0.5, 1.0)


def test_a_parabola_has_its_lowest_point_between_the_octaves():
    octaves = np.arange(-3.0, 4.0)
    for at in (-0.4, 0.0, 0.3, 1.25):
        assert best_octave(octaves, np.exp((octaves - at) ** 2)) == pytest.approx(at)
    assert best_octave(octaves, np.exp(octaves)) == -3
    assert best_octave(octaves, np.where(octaves > 0, np.inf, np.exp(-octaves))) == 0


def test_the_window_ends_where_the_score_passes_its_limit():
    octaves = np.arange(-3.0, 4.0)
    low, high = good_window(octaves, 1.25 ** np.abs(octaves))
    assert (low, high) == pytest.approx((-1, 1))
    low, high = good_window(octaves, np.where(octaves > 1, np.inf, 1.0))
    assert np.isnan(low)
    assert high == 1


@pytest.mark.parametrize("lost", ["diverged", "not learned"])
def test_the_cliff_is_at_the_smallest_rate_above_the_best_at_which_a_run_is_lost(lost):
    worthless = {"status": "diverged"} if lost == "diverged" else {"val/loss": 1.99}

    def runs(cliff, **config):
        return [
            row(abs(np.log2(rate / 0.125)) + 0.1, seed=seed, optimizer__lr=rate, **config)
            | (worthless if rate >= cliff else {})
            for seed in range(3)
            for rate in RATES
        ]

    rows = runs(0.25) + runs(0.5, **HALVED)
    (group,) = compare(sweep_of(rows)).groups
    cliff = group.arm("scale ½, pytorch").octaves.cliff
    assert (cliff.mean, cliff.seeds) == (1.0, 3)


def test_shifts_go_from_the_reference_to_the_arm():
    def runs(best, **config):
        return [
            row(0.2 * 2 ** (np.log2(rate / best) ** 2 / 2), optimizer__lr=rate, **config)
            for rate in RATES
        ]

    (group,) = compare(sweep_of(runs(0.125) + runs(0.5, **HALVED))).groups
    octaves = group.arm("scale ½, pytorch").octaves
    assert octaves.best.mean == pytest.approx(2)
    assert octaves.window.mean == pytest.approx(2)
    (turned,) = compare(sweep_of(runs(0.5) + runs(0.125, **HALVED))).groups
    assert turned.arm("scale ½, pytorch").octaves.best.mean == pytest.approx(-2)


def test_a_best_rate_at_the_edge_of_those_tried_has_no_shift():
    def runs(best, rates, **config):
        return [
            row(abs(np.log2(rate / best)) + 0.1, seed=seed, optimizer__lr=rate, **config)
            for seed in range(3)
            for rate in rates
        ]

    whole = runs(0.125, RATES)
    for rates in (RATES[:2], RATES[-2:]):
        (group,) = compare(sweep_of(whole + runs(0.25, rates, **HALVED))).groups
        assert group.arm("scale ½, pytorch").octaves.best.seeds == 0
