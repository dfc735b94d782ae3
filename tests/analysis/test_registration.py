"""Curves laid on each other: exact where they are copies, and right about drawn ones."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from cvtrain.analysis.registration import register
from cvtrain.analysis.statistics import significant
from tests.analysis.simulated import HALF, UNTRAINED, WHOLE, Truth, draw

MARGIN = 0.05
PLAIN, HEAVY = Truth(), Truth(heavy=True, collapse=0.03)


def rng(draw_number=0):
    return np.random.default_rng(1000 + draw_number)


def registered(reference, other, control=None):
    return register(reference, other, MARGIN, UNTRAINED, control)


@pytest.mark.parametrize("octaves", [-1, 0, 1, 2])
def test_a_copy_at_another_octave_moves_by_exactly_that_and_leaves_nothing(octaves):
    reference = draw(rng(), PLAIN, 8)
    registration = registered(reference, replace(reference, rates=2.0 ** (WHOLE + octaves)))
    assert (registration.shift.mean, registration.shift.low, registration.shift.high) == (
        octaves,
    ) * 3
    assert registration.factor.mean == 2.0**octaves
    assert registration.rest.mean == pytest.approx(0, abs=1e-9)
    assert registration.equivalence_p == 0


def test_the_way_back_is_the_way_there_with_the_other_sign():
    one, two = draw(rng(1), PLAIN, 8), draw(rng(2), Truth(shift=0.4), 8)
    forth, back = registered(one, two), registered(two, one)
    assert forth.shift.mean == pytest.approx(-back.shift.mean)
    assert forth.rest.mean == pytest.approx(-back.rest.mean)


def test_a_run_that_went_astray_or_is_missing_hardly_moves_a_curve():
    one, two = draw(rng(1), PLAIN, 10), draw(rng(2), Truth(shift=0.4), 10)
    plain = registered(one, two)
    for loss, fails in ((math.inf, True), (2.3, True), (math.nan, False)):
        losses, failed = two.loss.copy(), two.fails.copy()
        losses[3, 2], failed[3, 2] = loss, fails
        registration = registered(one, replace(two, loss=losses, fails=failed))
        assert registration.shift.mean == pytest.approx(plain.shift.mean, abs=0.03)


def test_seeds_that_one_arm_lacks_are_left_out():
    one, two = draw(rng(1), PLAIN, 10), draw(rng(2), Truth(shift=0.4), 10)
    registration = registered(one.take(one.keys[2:]), two.take(two.keys[:8]))
    assert registration.shift.seeds == 6
    assert (
        registered(one.take([(0, 0)]), two.take([(0, 1)])).reason
        == "the arms have no seed in common"
    )


@pytest.mark.parametrize(
    ("grid", "reason"),
    [
        (draw(rng(), Truth(flat=True), 8), "flat|smallest"),
        (draw(rng(), PLAIN, 8, np.arange(0.0, 3.0)), "smallest one tried"),
        (draw(rng(), PLAIN, 8, np.arange(2.5, 5.0)), "smallest|fail"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_where_a_curve_is_flat_or_one_sided_there_is_nothing_to_register(grid, reason, turned):
    pair = (draw(rng(1), PLAIN, 8), grid)
    registration = registered(*(reversed(pair) if turned else pair))
    assert any(part in registration.reason for part in reason.split("|"))
    assert math.isnan(registration.shift.mean) and math.isnan(registration.equivalence_p)


def test_a_hair_beyond_the_rates_tried_there_still_is_a_rest():
    one = draw(rng(1), Truth(spread=0.0), 8, np.arange(-2.0, 3.0))
    registration = registered(one, replace(one, rates=one.rates * 2**0.002))
    assert registration.rest.known and registration.rest.seeds == 8


@pytest.mark.parametrize(("octaves", "others"), [(WHOLE, HALF), (HALF, WHOLE)])
def test_an_arm_at_half_octaves_lies_where_it_is_beside_one_at_whole_octaves(octaves, others):
    """Straight lines between the rates would be 0.03 octaves off."""
    plain, moved = Truth(spread=0.0), Truth(spread=0.0, shift=0.4)
    registration = registered(draw(rng(1), plain, 60, octaves), draw(rng(2), moved, 60, others))
    assert registration.shift.mean == pytest.approx(0.4, abs=0.015)


def test_a_best_rate_at_the_edge_is_noted():
    one = draw(rng(1), PLAIN, 8)
    assert not registered(one, draw(rng(2), PLAIN, 8)).edge
    assert registered(one, draw(rng(2), PLAIN, 8, np.arange(-5.0, -0.5))).edge


def test_a_second_draw_of_the_reference_counts_as_much_as_the_first():
    one, two, arm = (draw(rng(n), truth, 8) for n, truth in enumerate((PLAIN, PLAIN, PLAIN)))
    both = registered(one, arm, two)
    alone = [registered(base, arm) for base in (one, two)]
    shifts = np.mean([registration.shifts for registration in alone], axis=0)
    assert np.allclose(both.shifts, shifts)
    assert both.rest_summary.error < max(registration.rest_summary.error for registration in alone)
    few = two.take(two.keys[1:])  # a draw that lacks a seed is no second one
    assert registered(one, arm, few).rests == alone[0].rests


def rates(truth, base, seeds, octaves, draws, twice=False):
    """Shares of draws: intervals that hold the shift and the rest, equality, difference."""
    outcomes = []
    for number in range(draws):
        generator = rng(number)
        one = draw(generator, base, seeds, octaves)
        two = draw(generator, truth, seeds, octaves)
        control = draw(generator, base, seeds, octaves) if twice else None
        result = registered(one, two, control)
        outcomes.append(
            (
                result.shift.low <= truth.shift <= result.shift.high,
                result.rest.low <= truth.rest <= result.rest.high,
                significant(result.equivalence_p),
                significant(result.difference_p),
            )
        )
    return np.mean(outcomes, axis=0)


SIZES = [
    (8, WHOLE, False),
    (8, WHOLE, True),
    (16, HALF, False),
    (40, HALF, True),
    (200, HALF, False),
    (200, HALF, True),
]
TRUTHS = [
    (PLAIN, PLAIN),
    (Truth(shift=0.4), PLAIN),
    (replace(HEAVY, shift=0.4), HEAVY),
    (Truth(shift=0.4, rest=math.log1p(MARGIN)), PLAIN),
]
# Every size and every truth once or twice; under --all every truth at every size.
CASES = [
    pytest.param(*size, *truth, marks=() if s < 5 and (s + t) % 4 == 0 else pytest.mark.long)
    for (s, size), (t, truth) in itertools.product(enumerate(SIZES), enumerate(TRUTHS))
]


@pytest.mark.parametrize(("seeds", "octaves", "twice", "truth", "base"), CASES)
def test_intervals_and_answers_are_right_as_often_as_they_say(
    seeds, octaves, truth, base, twice, share
):
    draws = share(1000 if seeds < 100 else 300)
    slack = 3 * math.sqrt(0.05 * 0.95 / draws)
    shift, rest, equal, differ = rates(truth, base, seeds, octaves, draws, twice)
    assert 0.93 - slack <= shift <= 0.98 + slack
    assert 0.93 - slack <= rest <= 0.98 + slack
    if truth.rest:
        assert equal <= 0.05 + slack
    else:
        assert differ <= 0.05 + slack
        assert equal >= (0.5 if seeds == 8 else 0.9) - slack
