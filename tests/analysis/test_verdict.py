"""Answers about sweeps whose truth is known: made by hand, or drawn."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from cvtrain.analysis import exact_pairs as relabelling
from cvtrain.analysis.arms import REFERENCE
from cvtrain.analysis.compare import compare
from cvtrain.analysis.difference import Difference
from cvtrain.analysis.evidence import law_check
from cvtrain.analysis.exact_pairs import Pair
from cvtrain.analysis.verdict import decide, differs
from tests.analysis.simulated import curve
from tests.analysis.synthetic import HALVED, JITTERED, UNCONJUGATED, WIRTINGER, row, sweep_of

RATES = tuple(2.0**octave for octave in range(-7, 0))
"""The best one is 2^-3."""
AT_OPTIMUM = {"report": {"decides_on": "optimum", "margin": None}}
HALF = "scale ½, pytorch"
TEXTBOOK = "scale 1, wirtinger"


def arm(rng, seeds=8, *, shift=0.0, effect=0.0, noise=0.002, rest=0.0, spread=0.02, **config):
    """Runs on a curve as SGD's, moved by `shift` octaves, with an accuracy that falls from the
    best rate on and is the seed's own, an effect, and noise."""
    rows = []
    for seed in range(seeds):
        own = np.random.default_rng(7 + seed).normal(0, 0.01)
        moved = shift + spread * rng.standard_normal()
        for rate in RATES:
            octave = math.log2(rate) + 3 - moved
            logs = float(curve(np.array(min(octave, 2.0)))) + 0.004 * rng.standard_normal()
            accuracy = 0.95 + own + effect - 0.01 * octave**2 + noise * rng.standard_normal()
            one = row(math.exp(logs), accuracy, seed=seed, optimizer__lr=rate, **config)
            rows.append(one | {"test/loss": math.exp(logs + rest), "convergence/initial/loss": 2.4})
    return rows


def answer(rows, name=TEXTBOOK):
    return decide(compare(sweep_of(rows)).groups)["SGD", name]


def three(rng, seeds=8, config=None, **changed):
    """The reference, its jitter control and the textbook gradient, which is `changed`."""
    config = config or {}
    return (
        arm(rng, seeds, **config)
        + arm(rng, seeds, **JITTERED, **config)
        + arm(rng, seeds, **WIRTINGER, **config, **changed)
    )


def test_a_curve_that_moved_is_absorbed_with_the_factor_of_the_learning_rate():
    arm_answer = answer(three(np.random.default_rng(1), shift=0.4))
    assert arm_answer.kind == "absorbed"
    shift = arm_answer.registration.shift
    assert shift.low < 0.4 < shift.high and shift.high - shift.low < 0.1
    assert arm_answer.advice.startswith("multiply the learning rate by 1.3")
    assert arm_answer.outcome.startswith("the outcome is equal within 5 %")
    assert abs(arm_answer.control.shift.mean) < 0.03


def test_a_curve_that_did_not_move_is_left_alone():
    arm_answer = answer(three(np.random.default_rng(2)))
    assert arm_answer.kind == "absorbed" and arm_answer.advice.startswith("leave the learning rate")


def test_more_loss_after_the_move_is_a_difference_from_the_reference_and_from_its_control():
    rng = np.random.default_rng(3)
    rows = three(rng, shift=0.4, rest=0.2)
    assert answer(rows).kind == "different"
    without = [one for one in rows if one["init_jitter"] == 0]
    arm_answer = answer(without)
    assert arm_answer.kind == "inconclusive" and "jitter control" in arm_answer.reason
    assert arm_answer.more_overrides == ("null_arm=true",)


@pytest.mark.parametrize("which", ["reference", "arm"])
def test_a_best_rate_at_the_edge_of_either_is_inconclusive(which):
    rng = np.random.default_rng(4)
    far = {"shift": 6.0}
    rows = arm(rng, **(far if which == "reference" else {})) + arm(rng, **JITTERED)
    rows += arm(rng, **WIRTINGER, **(far if which == "arm" else {}))
    arm_answer = answer(rows)
    assert arm_answer.kind == "inconclusive"
    assert "edge" in arm_answer.reason or "nothing has learned yet" in arm_answer.reason


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("config", [{}, AT_OPTIMUM])
def test_test_values_that_are_no_numbers_are_failures_and_never_equality(value, config):
    rows = three(np.random.default_rng(5), 16, config, effect=-0.05, rest=0.3)
    for one in rows:
        if one["convention.scale"] == 0.5 and one["seed"] % 2:
            one["test/accuracy"] = one["test/loss"] = value
    arm_answer = answer(rows)
    assert arm_answer.kind == "different"


def test_an_arm_of_which_a_third_fails_at_its_best_rate_is_not_absorbed():
    rows = three(np.random.default_rng(6), 24, AT_OPTIMUM)
    for one in rows:
        if one["convention.scale"] == 0.5 and one["seed"] % 3 == 0:
            one["status"] = "diverged"
    arm_answer = answer(rows)
    assert arm_answer.kind == "different"
    assert (
        "training fails more often; 8 of 24 runs fail, 0 of the reference's" in arm_answer.outcome
    )


def test_failing_now_and_then_at_the_best_rate_is_counted_apart_from_the_mean():
    rows = three(np.random.default_rng(6), 40, AT_OPTIMUM)
    for one in rows:
        if one["convention.scale"] == 0.5 and one["seed"] % 10 == 0:
            one |= {"val/loss": 2.4, "test/accuracy": 0.1}
    arm_answer = answer(rows)
    assert (arm_answer.optimum.failures.other, arm_answer.optimum.failures.reference) == (4, 0)
    assert abs(arm_answer.optimum.difference.mean) < 0.005
    assert arm_answer.kind == "inconclusive"


def test_at_the_optimum_equality_and_difference_are_told():
    assert answer(three(np.random.default_rng(7), 16, AT_OPTIMUM)).kind == "absorbed"
    arm_answer = answer(three(np.random.default_rng(8), 16, AT_OPTIMUM, effect=-0.03))
    assert arm_answer.kind == "different"
    assert arm_answer.outcome.startswith("not the same: the outcome differs: −3")


def test_what_is_inconclusive_says_how_many_seeds_would_do():
    few = {"report": {**AT_OPTIMUM["report"], "max_seeds": 200}}
    arm_answer = answer(three(np.random.default_rng(9), 8, few, noise=0.004))
    assert arm_answer.kind == "inconclusive"
    assert 0 < arm_answer.more_seeds < 192
    assert arm_answer.more_overrides == (f"seed=range(0,{8 + arm_answer.more_seeds})",)
    assert f"about {arm_answer.more_seeds} more seed" in arm_answer.reason
    arm_answer = answer(three(np.random.default_rng(9), 8, AT_OPTIMUM, noise=0.01))
    assert arm_answer.more_seeds > 24
    assert arm_answer.more_overrides == ("seed=range(0,32)",)
    assert ", 24 of them before report.max_seeds (" in arm_answer.reason


def test_a_rate_is_eligible_only_with_all_seeds():
    rows = three(np.random.default_rng(10), 8)
    best = [r for r in rows if r["convention.scale"] == 0.5 and r["optimizer.lr"] == 2**-3]
    for one in best[:5]:
        one["status"] = "interrupted"
    (group,) = compare(sweep_of(rows)).groups
    assert group.arm(TEXTBOOK).best_lr in (2**-4, 2**-2)


def test_an_arm_that_never_learns_is_said_to_where_the_reference_does():
    rng = np.random.default_rng(0)
    lost = [one | {"val/loss": 2.39} for one in arm(rng, 3, **UNCONJUGATED)]
    assert answer(arm(rng, 3) + lost, "scale 1, unconjugated").kind == "never learns"
    nowhere = [one | {"val/loss": 2.39} for one in arm(rng, 3)]
    arm_answer = answer(nowhere + lost, "scale 1, unconjugated")
    assert arm_answer.kind == "inconclusive"
    assert arm_answer.reason.startswith("nothing has learned yet at 20 steps; more steps or larger")
    assert arm_answer.reason.endswith("the same command with max_steps=80)")


def test_runs_from_trained_weights_are_measured_against_the_untrained_loss():
    """Their first loss is low, and they end no lower."""
    rng = np.random.default_rng(0)
    changed = {"start_from": "trained", "convergence/initial/loss": 0.2, "untrained_loss": 2.3}
    rows = [one | changed for one in three(rng)]
    sweep = sweep_of(rows)
    assert not compare(sweep).runs["not_learned"].any()
    assert answer(rows).kind == "absorbed"


def weights_of(rows, apart=0.0):
    """Last weights by directory, which depend on lr · scale alone, but for `apart` where halved."""
    numbered = dict(enumerate(rows))

    def weights(directory):
        run = numbered[int(directory.name)]
        scale = run["objective.scale"]
        value = [1.0 + run["seed"], run["optimizer.lr"] * scale, run["convention.scale"]]
        return {"w": torch.tensor(value, dtype=torch.float64) * (1 + apart * (scale != 1))}

    return weights


@pytest.mark.parametrize(("apart", "kind"), [(0.0, "relabelling"), (1e-7, "law broken")])
def test_an_octave_with_equal_bits_is_a_relabelling_and_with_other_bits_a_broken_law(
    monkeypatch, apart, kind
):
    rng = np.random.default_rng
    rows = arm(rng(0), 3) + arm(rng(0), 3, shift=1.0, **HALVED)
    monkeypatch.setattr(relabelling, "last_weights", weights_of(rows, apart))
    arm_answer = answer(rows, HALF)
    assert arm_answer.kind == kind
    assert arm_answer.law.octaves == 1 and arm_answer.law.pairs == 3 * (len(RATES) - 1)
    assert arm_answer.law.equal == (arm_answer.law.pairs if apart == 0 else 0)
    if apart:
        assert "0 of 18 pairs" in arm_answer.outcome
    else:
        assert arm_answer.advice == "multiply the learning rate by 2"
        assert arm_answer.registration.shift.mean == pytest.approx(1, abs=0.01)
        assert arm_answer.prices.kept is not None and arm_answer.prices.turned is not None


def test_on_another_device_than_a_cpu_unequal_bits_break_no_law(monkeypatch):
    rng = np.random.default_rng
    rows = arm(rng(0)) + arm(rng(0), **JITTERED) + arm(rng(0), shift=1.0, **HALVED)
    rows = [one | {"device": "cuda"} for one in rows]
    monkeypatch.setattr(relabelling, "last_weights", weights_of(rows, 1e-7))
    assert answer(rows, HALF).kind == "absorbed"


def test_an_arm_that_a_law_makes_equal_to_another_arm_needs_few_points_and_no_statistics(
    monkeypatch,
):
    rng = np.random.default_rng
    rows = arm(rng(0)) + arm(rng(1), shift=0.4, **WIRTINGER)
    few = arm(rng(1), shift=1.4, **WIRTINGER, **HALVED)
    rows += [one for one in few if one["optimizer.lr"] in (2**-4, 2**-3)]
    monkeypatch.setattr(relabelling, "last_weights", weights_of(rows))
    arm_answer = answer(rows, "scale ½, wirtinger")
    assert arm_answer.kind == "relabelling"
    assert (arm_answer.law.base, arm_answer.law.octaves, arm_answer.law.pairs) == (
        TEXTBOOK,
        1.0,
        16,
    )
    assert arm_answer.advice == f"multiply the learning rate of “{TEXTBOOK}” by 2"


def test_the_law_names_what_is_kept_and_a_convention_in_a_mixed_network():
    adam = {"optimizer___target_": "torch.optim.Adam", "optimizer__eps": 1e-8}
    rng = np.random.default_rng(0)
    rows = arm(rng, 2, **adam) + arm(rng, 2, **adam, **WIRTINGER)
    (group,) = compare(sweep_of(rows)).groups
    mixed, kept = group.arm(TEXTBOOK).obstacles
    assert mixed == "gradients of complex parameters are × 0.5, of real ones × 1"
    assert kept == "eps = 1e-08 is kept (law: 5e-09)"


def test_a_halved_eps_makes_pairs_of_adam_although_it_is_another_group(monkeypatch):
    adam = {"optimizer___target_": "torch.optim.Adam"}
    rng = np.random.default_rng(0)
    rows = arm(rng, 1, **adam, optimizer__eps=1e-8)
    rows += arm(rng, 1, **adam, optimizer__eps=5e-9, **HALVED)
    monkeypatch.setattr(relabelling, "last_weights", lambda _: {"w": torch.ones(2)})
    groups = compare(sweep_of(rows)).groups
    pairs = [pair for group in groups for one in group.arms for pair in one.pairs]
    assert len(pairs) == len(RATES)
    assert {pair.octaves for pair in pairs} == {0.0}


def difference(mean, low=math.nan, high=math.nan, pairs=10):
    return Difference(mean, low, high, pairs, identical=False)


def test_a_difference_shows_where_both_intervals_leave_out_0_on_one_side():
    shown = difference(0.02, 0.01, 0.03)
    assert differs(shown, None)
    assert differs(shown, difference(0.02, 0.005, 0.04))
    assert not differs(shown, difference(0.01, -0.001, 0.021))
    assert not differs(shown, difference(-0.02, -0.03, -0.01))
    assert not differs(difference(0.02, -0.001, 0.041), None)
    assert differs(shown, difference(0.0, -0.1, 0.1, pairs=1))
    assert not differs(difference(0.02), None)


def test_one_pair_apart_breaks_a_law_and_one_up_to_rounding_does_not():
    rows = arm(np.random.default_rng(0), 2) + arm(np.random.default_rng(0), 2, **HALVED)
    plain = compare(sweep_of(rows)).groups[0].arm(HALF)

    def pair(exact, apart):
        return Pair("SGD", plain.name, "0", "1", 1.0, exact, 2, apart)

    def relabelled(arm):
        law = law_check(arm)
        return law is not None and law.holds

    equal, rounded = pair(True, 0.0), pair(False, 1e-9)
    assert relabelled(replace(plain, pairs=(equal, rounded)))
    assert not relabelled(replace(plain, pairs=(equal, pair(True, 1e-9))))
    assert not relabelled(replace(plain, pairs=(rounded,)))
    assert not relabelled(replace(plain, pairs=()))
    lost = law_check(replace(plain, pairs=(pair(True, math.nan),)))
    assert (lost.pairs, lost.holds, lost.base) == (0, False, REFERENCE)


def test_p_values_are_adjusted_for_all_arms_of_a_sweep():
    rng = np.random.default_rng(9)
    rows = three(rng)
    alone = answer(rows).equivalence_p
    rows += arm(rng, rest=0.04, convention__scale=0.25)
    both = answer(rows).equivalence_p
    assert both == pytest.approx(2 * alone, rel=1e-6)
