"""Answers about sweeps whose truth is known: made by hand, or drawn."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from cvtrain.analysis import exact_pairs as relabelling
from cvtrain.analysis.difference import Difference, adjusted_p
from cvtrain.analysis.equivalence import bootstrap_interval, difference_p, equivalence_p
from cvtrain.analysis.exact_pairs import Pair
from cvtrain.analysis.scores import compare
from cvtrain.analysis.verdict import SEEDS_NEEDED, beyond_chaos, decide, differs, relabelled
from tests.analysis.synthetic import HALVED, JITTERED, UNCONJUGATED, WIRTINGER, row, sweep_of

RATES = (0.0625, 0.125, 0.25, 0.5, 1.0)
TUNING = 6
MIXED = {"convention__scale": 0.5}


def arm(rng, seeds, *, best=0.25, effect=0.0, noise=0.003, own=0.01, **config):
    """Runs whose loss is a parabola around `best`, and whose accuracy is the seed's own (from a
    generator that all arms share the seed of), an effect, and noise."""
    of_seed = np.random.default_rng(7).normal(0.95, own, 1000)
    return [
        row(
            0.2 * 2 ** (0.5 * (np.log2(rate / best)) ** 2),
            of_seed[seed] + effect + noise * rng.standard_normal(),
            seed=seed,
            optimizer__lr=rate,
            **config,
        )
        for seed in range(seeds)
        for rate in RATES
    ]


def answer(rows, name):
    return decide(compare(sweep_of(rows)).groups)["SGD", name]


@pytest.mark.parametrize(("apart", "kind"), [(0.0, "relabelling"), (1e-7, "inconclusive")])
def test_an_octave_with_equal_bits_is_a_relabelling_and_with_other_bits_is_not(
    monkeypatch, apart, kind
):
    rows = arm(np.random.default_rng(0), 3) + arm(np.random.default_rng(0), 3, best=0.5, **HALVED)
    numbered = dict(enumerate(rows))

    def weights(directory):
        run = numbered[int(directory.name)]
        effective = run["optimizer.lr"] * run["objective.scale"]
        value = torch.tensor([1.0 + run["seed"], effective], dtype=torch.float64)
        return {"w": value * (1 + apart * (run["objective.scale"] != 1))}

    monkeypatch.setattr(relabelling, "last_weights", weights)
    found = answer(rows, "scale ½, pytorch")
    assert found.kind == kind
    pairs = compare(sweep_of(rows)).groups[0].arm("scale ½, pytorch").pairs
    assert len(pairs) == 3 * (len(RATES) - 1)
    assert {pair.octaves for pair in pairs} == {1.0}


def test_a_shift_of_one_octave_is_found_without_an_interval():
    rows = arm(np.random.default_rng(0), 8) + arm(np.random.default_rng(1), 8, best=0.5, **HALVED)
    shift = compare(sweep_of(rows)).groups[0].arm("scale ½, pytorch").octaves
    assert (shift.best.mean, shift.best.low, shift.best.high) == pytest.approx((1, 1, 1))
    assert shift.window.mean == pytest.approx(1)


@pytest.mark.parametrize(("held_out", "kind"), [(4, "inconclusive"), (12, "absorbed")])
def test_no_difference_is_equivalence_only_with_enough_seeds(held_out, kind):
    rng = np.random.default_rng(3)
    seeds = TUNING + held_out
    rows = arm(rng, seeds) + arm(rng, seeds, **MIXED) + arm(rng, seeds, **JITTERED)
    found = answer(rows, "scale 1, wirtinger")
    assert found.kind == kind
    assert (found.reason is not None) == (kind == "inconclusive")


def test_a_real_difference_is_found_beyond_the_jitter_control():
    rng = np.random.default_rng(4)
    seeds = TUNING + 12
    rows = arm(rng, seeds) + arm(rng, seeds, effect=-0.03, **MIXED)
    assert answer(rows, "scale 1, wirtinger").reason.startswith("a difference shows, but no jitter")
    assert answer(rows + arm(rng, seeds, **JITTERED), "scale 1, wirtinger").kind == "different"
    chaotic = arm(rng, seeds, noise=0.2, **JITTERED)
    assert "jitter control moves" in answer(rows + chaotic, "scale 1, wirtinger").reason


def test_a_difference_at_the_edge_of_the_rates_is_not_called_real():
    rng = np.random.default_rng(5)
    seeds = TUNING + 12
    rows = arm(rng, seeds) + arm(rng, seeds, best=4.0, effect=-0.03, **MIXED)
    found = answer(rows + arm(rng, seeds, **JITTERED), "scale 1, wirtinger")
    assert found.kind == "inconclusive"
    assert "edge" in found.reason


def test_an_arm_that_never_learns_is_said_to():
    rows = arm(np.random.default_rng(0), 2)
    lost = [one | {"val/loss": 1.99} for one in arm(np.random.default_rng(0), 2, **UNCONJUGATED)]
    assert answer(rows + lost, "scale 1, unconjugated").kind == "never learns"


@pytest.mark.long
def test_real_differences_are_claimed_in_under_one_in_twenty_sweeps_without_any():
    false = 0
    for draw in range(200):
        rng = np.random.default_rng(1000 + draw)
        seeds = TUNING + SEEDS_NEEDED
        kinds = ({}, MIXED, {"objective__scale": 0.5, "convention__scale": 0.5}, JITTERED)
        rows = [one for kind in kinds for one in arm(rng, seeds, noise=0.02, **kind)]
        rows = [one for one in rows if one["optimizer.lr"] in (0.125, 0.25, 0.5)]
        answers = decide(compare(sweep_of(rows)).groups).values()
        false += any(each.kind == "different" for each in answers)
    assert false < 10


def test_the_law_names_what_is_kept_and_a_convention_in_a_mixed_network():
    adam = {"optimizer___target_": "torch.optim.Adam", "optimizer__eps": 1e-8}
    rng = np.random.default_rng(0)
    rows = arm(rng, 2, **adam) + arm(rng, 2, **adam, **WIRTINGER)
    (group,) = compare(sweep_of(rows)).groups
    mixed, kept = group.arm("scale 1, wirtinger").obstacles
    assert mixed == "gradients of complex parameters are × 0.5, of real ones × 1"
    assert kept == "eps = 1e-08 is kept (law: 5e-09)"


def test_a_halved_eps_makes_pairs_of_adam_although_it_is_another_group(monkeypatch):
    adam = {"optimizer___target_": "torch.optim.Adam"}
    rng = np.random.default_rng(0)
    rows = arm(rng, 1, **adam, optimizer__eps=1e-8)
    rows += arm(rng, 1, **adam, optimizer__eps=5e-9, **HALVED)
    monkeypatch.setattr(relabelling, "last_weights", lambda _: {"w": torch.ones(2)})
    groups = compare(sweep_of(rows)).groups
    pairs = [pair for group in groups for each in group.arms for pair in each.pairs]
    assert len(pairs) == len(RATES)
    assert {pair.octaves for pair in pairs} == {0.0}


def test_two_one_sided_tests_pass_where_the_ninety_percent_interval_is_within_the_margin():
    rng = np.random.default_rng(2)
    for _ in range(50):
        values = rng.normal(0.001, 0.004, 12)
        interval = stats.ttest_1samp(values, 0).confidence_interval(0.90)
        inside = interval.low > -0.005 and interval.high < 0.005
        assert (equivalence_p(values, 0.005) < 0.05) == inside


def test_equal_differences_leave_no_doubt():
    assert equivalence_p(np.full(5, 0.001), 0.005) == 0
    assert equivalence_p(np.full(5, 0.006), 0.005) == 1
    assert difference_p(np.zeros(5)) == 1
    assert difference_p(np.full(5, 0.1)) == 0
    found = bootstrap_interval(np.full(5, 1.0))
    assert (found.mean, found.low, found.high) == (1, 1, 1)


def difference(mean, low=math.nan, high=math.nan, pairs=SEEDS_NEEDED):
    return Difference(mean, low, high, pairs, identical=False)


@pytest.mark.parametrize("sign", [1, -1])
def test_chaos_does_as_much_as_the_farther_end_of_the_controls_interval(sign):
    for null in (difference(0.001, -0.01, 0.012), difference(-0.001, -0.012, 0.01)):
        assert not beyond_chaos(difference(sign * 0.0119), null)
        assert beyond_chaos(difference(sign * 0.0121), null)
    assert not beyond_chaos(difference(0.5), difference(0.0))
    assert not beyond_chaos(difference(0.5), None)


def test_a_difference_shows_where_its_interval_leaves_out_0_and_chaos_does_less():
    null = difference(0.0, -0.01, 0.01)
    assert differs(difference(0.02, 0.01, 0.03), null)
    assert differs(difference(-0.02, -0.03, -0.01), None)
    assert not differs(difference(0.02, -0.001, 0.041), null)
    assert not differs(difference(0.009, 0.008, 0.01), null)
    assert differs(difference(0.009, 0.008, 0.01), replace(null, pairs=1))
    assert not differs(difference(0.02), null)


def test_an_arm_with_an_obstacle_or_with_one_pair_apart_is_no_relabelling():
    rows = arm(np.random.default_rng(0), 2) + arm(np.random.default_rng(0), 2, **HALVED)
    plain = compare(sweep_of(rows)).groups[0].arm("scale ½, pytorch")

    def pair(exact, apart):
        return Pair("SGD", plain.name, "0", "1", 1.0, exact, 2, apart)

    equal, rounded = pair(True, 0.0), pair(False, 1e-9)
    assert relabelled(replace(plain, obstacles=(), pairs=(equal, rounded)))
    assert not relabelled(replace(plain, obstacles=("eps is kept",), pairs=(equal,)))
    assert not relabelled(replace(plain, obstacles=(), pairs=(equal, pair(True, 1e-9))))
    assert not relabelled(replace(plain, obstacles=(), pairs=(rounded,)))
    assert not relabelled(replace(plain, obstacles=(), pairs=()))


def test_a_difference_from_a_reference_at_the_edge_of_the_rates_is_not_called_real():
    rng = np.random.default_rng(6)
    seeds = TUNING + 12
    rows = arm(rng, seeds, best=4.0) + arm(rng, seeds, best=4.0, **JITTERED)
    found = answer(rows + arm(rng, seeds, effect=-0.03, **MIXED), "scale 1, wirtinger")
    assert found.kind == "inconclusive"
    assert (
        found.reason == "a difference shows, but a best learning rate is at the edge of those tried"
    )


@pytest.mark.parametrize("chosen", ["reference", "arm"])
def test_held_out_seeds_have_no_say_in_a_learning_rate(chosen):
    """They have a far lower loss at another rate, and an accuracy there that nothing else has."""

    def runs(lures, **config):
        return [
            row(
                0.01 if lures and seed >= TUNING and rate == 0.5 else 0.1 + 0.1 * abs(rate - 0.25),
                0.99 if rate == 0.5 else 0.9 + 0.001 * seed,
                seed=seed,
                optimizer__lr=rate,
                **config,
            )
            for seed in range(TUNING + SEEDS_NEEDED)
            for rate in RATES
        ]

    rows = runs(chosen == "reference") + runs(chosen == "arm", **MIXED)
    (group,) = compare(sweep_of(rows)).groups
    reference, other = group.arm("scale 1, pytorch"), group.arm("scale 1, wirtinger")
    assert (reference.best_lr, other.best_lr, other.shift) == (0.25, 0.25, 0.0)
    for found in (other.retuned, other.unretuned):
        assert (found.mean, found.pairs) == (0.0, SEEDS_NEEDED)
    assert group.held_out == tuple(range(TUNING, TUNING + SEEDS_NEEDED))
    for each in (reference, other):
        assert each.test_mean == pytest.approx(np.mean([0.9 + 0.001 * s for s in group.held_out]))


def test_p_values_are_those_of_benjamini_and_hochberg():
    rng = np.random.default_rng(8)
    values = [rng.normal(mean, 1.0, 12) for mean in (0.0, 0.6, 0.9, 1.2, 0.3)]
    few = difference(0.5, pairs=SEEDS_NEEDED - 1)
    given = [replace(difference(v.mean(), pairs=12), values=v) for v in values]
    found = adjusted_p([given[0], replace(few, values=values[0][:9]), *given[1:]])
    assert math.isnan(found.pop(1))
    plain = [stats.ttest_1samp(v, 0).pvalue for v in values]
    ranked = sorted(plain)
    for p, adjusted in zip(plain, found, strict=True):
        expected = min(5 * q / rank for rank, q in enumerate(ranked, 1) if q >= p)
        assert adjusted == pytest.approx(min(1, expected), rel=1e-9)


def test_the_answers_of_a_sweep_are_corrected_for_all_of_its_arms():
    rng = np.random.default_rng(9)
    seeds = TUNING + 12
    arms = {
        "scale 1, wirtinger": {"convention__scale": 0.5},
        "scale 1, scale=0.25": {"convention__scale": 0.25},
        "scale 1, scale=2": {"convention__scale": 2.0},
    }
    rows = arm(rng, seeds)
    for effect, config in zip((0.0, 0.002, -0.03), arms.values(), strict=True):
        rows += arm(rng, seeds, effect=effect, **config)
    (group,) = compare(sweep_of(rows)).groups
    answers = decide([group])
    plain = [difference_p(group.arm(name).retuned.values) for name in arms]
    expected = stats.false_discovery_control(plain)
    found = [answers["SGD", name].difference_p for name in arms]
    assert found == pytest.approx(list(expected), rel=1e-9)
    assert all(f >= p for f, p in zip(found, plain, strict=True))


def test_without_a_test_that_shows_it_nothing_is_called_a_difference():
    rng = np.random.default_rng(11)
    seeds = TUNING + SEEDS_NEEDED
    rows = arm(rng, seeds, noise=0.0) + arm(rng, seeds, **JITTERED)
    other = arm(rng, seeds, noise=0.0, **MIXED)
    for one in other:  # as often better as worse
        one["test/accuracy"] += 0.02 * (-1) ** one["seed"]
    found = answer(rows + other, "scale 1, wirtinger")
    assert found.kind == "inconclusive"
    assert found.difference_p > 0.05 and found.equivalence_p > 0.05
    assert found.reason == "neither a difference nor equivalence shows with so few seeds"
