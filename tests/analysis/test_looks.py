"""Several looks at one sweep: their levels, and how often they err together."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cvtrain.analysis.arms import CONTROL, REFERENCE
from cvtrain.analysis.comparison import Arm, Group
from cvtrain.analysis.looks import Look, levels_of_looks, looks_of
from cvtrain.analysis.statistics import LEVEL, significant, summary
from cvtrain.analysis.verdict import decide
from tests.analysis.simulated import HALF, UNTRAINED, Truth, draw

SEEDS, MOST = (8, 12, 16, 24, 32), 32
MARGIN = 0.05
TEXTBOOK = "scale 1, wirtinger"


def test_the_levels_of_all_looks_add_up_to_the_error_and_most_of_it_is_for_the_first():
    looks = levels_of_looks([(seeds, MOST) for seeds in SEEDS])
    assert sum(look.level for look in looks) == pytest.approx(LEVEL)
    assert looks[0].level == pytest.approx(LEVEL * 0.25**0.25) and looks[0].level > 0.035
    assert [look.spent for look in looks] == sorted(look.spent for look in looks)
    (alone,) = levels_of_looks([(MOST, MOST)])
    assert alone.level == LEVEL
    assert levels_of_looks([(MOST, MOST), (100, MOST)])[1].level == 0
    # Whoever raises the largest number of seeds afterwards gets nothing back.
    raised = levels_of_looks([(8, 8), (16, 64)])
    assert [look.level for look in raised] == [LEVEL, 0]


def test_the_level_of_the_next_look_is_that_which_it_gets():
    first, second = levels_of_looks([(8, MOST), (20, MOST)])
    assert first.level_at(np.array([8.0, 20.0])).tolist() == pytest.approx([0, second.level])


def test_looks_are_read_from_the_runs_and_runs_without_more_seeds_make_none():
    of_look = [(0, range(4), 8), (1, range(4), 8), (2, range(4, 9), 16)]
    rows = [
        {"look": look, "split": 0, "seed": seed, "report.max_seeds": most}
        for look, seeds, most in of_look
        for seed in seeds
    ]
    looks = looks_of(pd.DataFrame(rows))
    assert {number: (look.seeds, look.max_seeds) for number, look in looks.items()} == {
        1: (4, 8),
        2: (9, 16),
    }


@pytest.mark.parametrize("truth", [0.0, 1.0])
def test_with_five_looks_false_answers_are_no_more_than_said(truth):
    """Of no difference, and of equality at the margin; without levels they are far more."""
    rng = np.random.default_rng(4)
    looks = levels_of_looks([(seeds, MOST) for seeds in SEEDS])
    draws, wrong, uncorrected = 3000, 0, 0
    for _ in range(draws):
        values = rng.normal(truth, 1.0, MOST)
        summaries = [summary(values[: look.seeds]) for look in looks]
        p_values = [one.equivalence_p(1.0) if truth else one.difference_p() for one in summaries]
        wrong += any(significant(p, k.level) for p, k in zip(p_values, looks, strict=True))
        uncorrected += any(map(significant, p_values))
    slack = 3 * math.sqrt(LEVEL * (1 - LEVEL) / draws)
    assert wrong / draws <= LEVEL + slack
    assert uncorrected / draws > 0.08


def arm(name, grid):
    """An arm at each of the looks."""
    earlier = tuple(grid.take(grid.keys[:seeds]) for seeds in SEEDS[:-1])
    numbers = {"score": 0.1, "test_mean": 0.9, "test_spread": 0.0, "steps_to_target": 10.0}
    counts = {"runs": 1, "diverged": 0, "not_learned": 0, "failed": 0, "unfinished": 0}
    return Arm(name, grid, grid.best_rate, grid.edge, **numbers, **counts, earlier=earlier)


def group(rng, decides_on, truths, base):
    """The reference, an arm for each truth, and the jitter control."""
    drawn = [
        (REFERENCE, draw(rng, base, MOST, HALF)),
        *((f"scale 1, {n}", draw(rng, truth, MOST, HALF)) for n, truth in enumerate(truths)),
        (CONTROL, draw(rng, base, MOST, HALF)),
    ]
    return Group(
        "SGD",
        tuple(arm(name, grid) for name, grid in drawn),
        "test/accuracy",
        "accuracy 0.95",
        margin=0.005,
        margin_loss=MARGIN,
        decides_on=decides_on,
        untrained=UNTRAINED,
        seeds=tuple(range(MOST)),
        looks=levels_of_looks([(seeds, MOST) for seeds in SEEDS]),
    )


@pytest.mark.parametrize("decides_on", ["curves", "optimum"])
def test_answers_of_five_looks_are_false_no_more_often_than_said(decides_on, share):
    """One arm without a difference, two at the margin: adjusted for all of them."""
    at_margin = {"curves": {"rest": math.log1p(MARGIN)}, "optimum": {"effect": 0.005}}[decides_on]
    base = Truth()
    truths = (Truth(shift=0.4), *[Truth(shift=0.4, **at_margin)] * 2)
    draws = share(60)
    different, equal = 0, 0
    for number in range(draws):
        answers = decide([group(np.random.default_rng(900 + number), decides_on, truths, base)])
        kinds = [answers["SGD", f"scale 1, {n}"].kind for n in range(3)]
        different += kinds[0] == "different"
        equal += "absorbed" in kinds[1:]
    slack = 3 * math.sqrt(LEVEL * (1 - LEVEL) / draws)
    assert different / draws <= LEVEL + slack
    assert equal / draws <= LEVEL + slack


def test_an_arm_that_was_answered_keeps_its_answer_while_others_are_looked_at():
    rng = np.random.default_rng(1)
    one = group(rng, "curves", [Truth(shift=0.4)] * 2, Truth())
    grid = one.arms[2].grid
    noisy = grid.test_loss * np.exp(0.3 * rng.standard_normal((MOST, 1)))
    arms = (*one.arms[:2], arm(one.arms[2].name, replace(grid, test_loss=noisy)), one.arms[3])
    one = replace(one, arms=arms)
    first = decide([replace(one.at_look(0), looks=one.looks[:1])])
    decision = decide([one])
    assert first["SGD", "scale 1, 0"].kind == "absorbed"
    kept = decision["SGD", "scale 1, 0"]
    assert (kept.kind, kept.look) == ("absorbed", one.looks[0])
    assert kept.registration.shift.seeds == MOST
    still_open = decision["SGD", "scale 1, 1"]
    assert (still_open.kind, still_open.look.seeds) == ("inconclusive", MOST)
    assert "report.max_seeds=32 is reached" in still_open.outcome
    assert not still_open.more_overrides


def test_a_look_says_how_many_seeds_would_do_at_the_level_that_is_left():
    values = np.random.default_rng(2).normal(0.004, 0.01, 8)
    look = levels_of_looks([(8, MOST)])[0]
    with_looks = summary(values).seeds_for_answer(0.005, look.level_at)
    alone = summary(values).seeds_for_answer(0.005, lambda n: np.full(len(n), LEVEL))
    assert with_looks > alone > 8
    ended = Look(MOST, MOST)
    assert summary(values).seeds_for_answer(0.005, ended.level_at) is None
