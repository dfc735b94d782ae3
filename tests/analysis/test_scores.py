"""Best learning rates, edges, counts and paired differences of tables made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from cvtrain.analysis.arms import CONTROL, REFERENCE
from cvtrain.analysis.best_lr import best_rate, chosen_rate
from cvtrain.analysis.compare import compare
from tests.analysis.synthetic import HALVED, JITTERED, UNCONJUGATED, WIRTINGER, row, sweep_of

RATES = (0.0625, 0.125, 0.25)
SEEDS = (0, 1, 2)


def curve(*losses, rates=RATES, seeds=SEEDS, accuracy=lambda seed: 0.9 + 0.01 * seed, **config):
    """A run per rate and seed, with the loss of its rate."""
    return [
        row(loss, accuracy(seed), seed=seed, optimizer__lr=rate, **config)
        for rate, loss in zip(rates, losses, strict=True)
        for seed in seeds
    ]


def only_group(rows):
    (group,) = compare(sweep_of(rows)).groups
    return group


def test_the_best_rate_has_the_lowest_mean_validation_loss():
    rows = [
        row(loss, seed=seed, optimizer__lr=rate)
        for rate, losses in ((0.0625, (0.5, 0.1)), (0.125, (0.29, 0.29)), (0.25, (0.2, 0.5)))
        for seed, loss in enumerate(losses)
    ]
    arm = only_group(rows).arm(REFERENCE)
    assert (arm.best_lr, arm.edge) == (0.125, False)
    assert arm.score == pytest.approx(0.29)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("diverged", "diverged"),
        ("failed", "failed"),
        ("running", "unfinished"),
        ("interrupted", "unfinished"),
    ],
)
def test_a_rate_where_one_run_did_not_finish_is_not_the_best(status, kind):
    rows = curve(0.5, 0.4, 0.1)
    rows[-1]["status"] = status
    arm = only_group(rows).arm(REFERENCE)
    assert arm.best_lr == 0.125
    counted = {"diverged": arm.diverged, "failed": arm.failed, "unfinished": arm.unfinished}
    assert [name for name, count in counted.items() if count] == [kind]


def test_a_rate_that_one_seed_did_not_try_is_not_the_best():
    losses = np.tile([0.5, 0.1], (6, 1))  # of six values the highest is trimmed, a missing one too
    fails = np.zeros(losses.shape, dtype=bool)
    assert chosen_rate(losses, fails) == 1
    losses[3, 1] = math.nan
    assert chosen_rate(losses, fails) == 0


def test_the_best_rate_is_one_that_was_tried_though_it_is_no_power_of_two():
    rates = (0.01, 0.03, 0.1)  # 2 to the power of log₂ 0.03 is another number
    arm = only_group(curve(0.5, 0.3, 0.4, rates=rates)).arm(REFERENCE)
    assert (arm.best_lr, arm.edge, arm.score) == (0.03, False, 0.3)
    assert arm.test_mean == pytest.approx(0.91)
    rows = curve(0.5, 0.3, 0.4, rates=rates) + curve(0.5, 0.3, 0.4, rates=rates, **HALVED)
    other = only_group(rows).arm("scale ½, pytorch")
    assert other.retuned.pairs == other.unretuned.pairs == len(SEEDS)


def test_of_equal_rates_the_smaller_is_the_best():
    assert best_rate(compare(sweep_of(curve(0.3, 0.3, 0.3))).runs) == 0.0625


def test_without_a_usable_rate_there_is_none():
    rows = curve(0.5, 0.4, 0.1)
    for one in rows:
        one["status"] = "diverged"
    arm = only_group(rows + curve(0.5, 0.4, 0.3, **HALVED)).arm(REFERENCE)
    assert (arm.best_lr, arm.edge, arm.diverged) == (None, False, 9)
    other = only_group(rows + curve(0.5, 0.4, 0.3, **HALVED)).arm("scale ½, pytorch")
    assert (other.shift, other.retuned, other.unretuned) == (None, None, None)


@pytest.mark.parametrize(
    ("losses", "edge"), [((0.1, 0.2, 0.3), True), ((0.3, 0.2, 0.1), True), ((0.3, 0.1, 0.2), False)]
)
def test_an_edge_is_the_smallest_or_largest_rate(losses, edge):
    assert only_group(curve(*losses)).arm(REFERENCE).edge is edge


def test_one_rate_alone_has_no_edge():
    assert not only_group(curve(0.1, rates=(0.5,))).arm(REFERENCE).edge


def test_a_run_above_nine_tenths_of_its_initial_loss_has_not_learned():
    arm = only_group(curve(1.7, 1.8, 1.81)).arm(REFERENCE)
    assert (arm.not_learned, arm.runs) == (3, 9)
    assert only_group(curve(1.0, 1.8, math.nan)).arm(REFERENCE).not_learned == 3


def test_steps_to_target_are_the_median_and_infinite_where_most_never_arrive():
    for steps, median in (((10, 30, math.inf), 30), ((10, math.inf, math.inf), math.inf)):
        rows = [row(0.1, seed=seed, steps_to_target=step) for seed, step in enumerate(steps)]
        assert only_group(rows).arm(REFERENCE).steps_to_target == median


def test_paired_differences_have_the_closed_form_of_students_interval():
    rng = np.random.default_rng(1)
    before, after = rng.normal(0.9, 0.02, 4), rng.normal(0.88, 0.02, 4)
    seeds = range(4)  # so few are not trimmed
    rows = curve(0.5, 0.4, 0.6, seeds=seeds, accuracy=lambda seed: before[seed])
    # Another order of seeds, and one seed that the reference does not have.
    rows += curve(0.6, 0.5, 0.4, seeds=(9,), accuracy=lambda seed: 0.1, **HALVED)
    rows += curve(0.6, 0.5, 0.4, seeds=seeds[::-1], accuracy=lambda seed: after[seed], **HALVED)
    arm = only_group(rows).arm("scale ½, pytorch")
    difference = after - before
    half = stats.t.ppf(0.975, 3) * np.sqrt(np.sum((difference - difference.mean()) ** 2) / 3 / 4)
    assert (arm.best_lr, arm.shift) == (0.25, 1.0)
    for retuning in (arm.retuned, arm.unretuned):
        assert retuning.pairs == 4
        assert retuning.mean == pytest.approx(difference.mean(), rel=1e-12)
        assert retuning.low == pytest.approx(difference.mean() - half, rel=1e-12)
        assert retuning.high == pytest.approx(difference.mean() + half, rel=1e-12)
        assert not retuning.identical


def test_arms_whose_every_number_agrees_after_retuning_are_identical():
    rows = curve(0.5, 0.4, 0.6)
    shifted = curve(0.55, 0.5, 0.4, **HALVED)
    arm = only_group(rows + shifted).arm("scale ½, pytorch")
    assert arm.retuned.identical
    assert (arm.retuned.mean, arm.retuned.low, arm.retuned.high) == (0, 0, 0)
    assert not arm.unretuned.identical
    for one in shifted:
        one["val/loss"] *= 1 + 2**-52 if one["seed"] == 2 else 1
    assert not only_group(rows + shifted).arm("scale ½, pytorch").retuned.identical


@pytest.mark.parametrize(
    ("losses", "octaves"),
    [((0.1, 0.2, 0.3), -1), ((0.3, 0.1, 0.2), 0), ((0.3, 0.2, 0.1), 1)],
)
def test_the_shift_is_in_octaves_of_the_reference(losses, octaves):
    group = only_group(curve(0.3, 0.1, 0.2) + curve(*losses, **WIRTINGER))
    assert group.arm("scale 1, wirtinger").shift == octaves
    assert group.arm(REFERENCE).shift is None


def test_a_run_without_a_test_metric_makes_no_pair():
    other = curve(0.3, 0.1, 0.2, **HALVED)
    other[3] |= {"status": "interrupted", "test/accuracy": math.nan}
    arm = only_group(curve(0.3, 0.1, 0.2) + other).arm("scale ½, pytorch")
    assert arm.unretuned.pairs == 2
    assert arm.unretuned.mean == 0


def test_a_single_seed_has_a_difference_but_no_interval():
    rows = curve(0.3, 0.1, 0.2, seeds=(4,))
    rows += curve(0.3, 0.1, 0.2, seeds=(4,), accuracy=lambda seed: 0.5, **HALVED)
    difference = only_group(rows).arm("scale ½, pytorch").retuned
    assert difference.mean == pytest.approx(0.5 - 0.94)
    assert math.isnan(difference.low) and math.isnan(difference.high)
    assert difference.pairs == 1


def test_the_reference_comes_first_and_the_jitter_control_last():
    rows = [
        one
        for arm in (JITTERED, UNCONJUGATED, HALVED, {}, HALVED | JITTERED)
        for one in curve(0.3, 0.1, 0.2, **arm)
    ]
    names = [arm.name for arm in only_group(rows).arms]
    assert names[0] == REFERENCE
    assert names[-1] == CONTROL
    assert names[1:-1] == [
        "scale 1, unconjugated",
        "scale ½, pytorch",
        "scale ½, pytorch, jittered",
    ]


def test_the_goal_and_metric_are_the_tasks_own_or_the_configured_ones():
    assert (only_group([row(0.1)]).metric, only_group([row(0.1)]).goal) == (
        "test/accuracy",
        "accuracy 0.95",
    )
    chosen = row(0.1, goal={"metric": "val/loss", "value": 0.25})
    assert only_group([chosen]).goal == "loss 0.25"
    regression = row(0.1) | {"test/nmse": 0.2}
    del regression["test/accuracy"]
    assert only_group([regression]).goal == "nmse 0.1"


def test_without_the_reference_nothing_is_paired():
    group = only_group(curve(0.3, 0.1, 0.2, **HALVED))
    assert group.arm(REFERENCE) is None
    assert group.arms[0].retuned is None
    assert group.arms[0].best_lr == 0.125


def test_a_sweep_of_which_nothing_has_begun_has_no_groups():
    assert compare(sweep_of([{"status": "missing"}])).groups == ()


def test_the_price_of_not_retuning_is_told_of_the_references_rate():
    def runs(best, **config):
        losses = [0.1 + abs(rate - best) for rate in RATES]
        made = curve(*losses, **config)
        return [
            one | {"test/accuracy": 0.9 if one["optimizer.lr"] == best else 0.8} for one in made
        ]

    group = only_group(runs(0.125) + runs(0.25, **HALVED))
    arm = group.arm("scale ½, pytorch")
    assert (arm.best_lr, arm.retuned.mean, arm.unretuned.mean) == (0.25, 0.0, pytest.approx(-0.1))
    prices = {price.lr: price.difference.mean for price in arm.prices}
    assert prices == {0.0625: 0.0, 0.125: pytest.approx(-0.1), 0.25: pytest.approx(0.1)}


def test_the_margin_is_half_a_point_of_accuracy_or_a_twentieth_of_the_references_loss():
    rows = curve(0.3, 0.1, 0.2) + curve(0.3, 0.1, 0.2, **HALVED)
    assert only_group(rows).margin == 0.005
    regression = [one | {"test/nmse": 0.4 * one["objective.scale"]} for one in rows]
    for one in regression:
        del one["test/accuracy"]
    assert only_group(regression).margin == pytest.approx(0.05 * 0.4)
    stated = [one | {"report.margin": 0.25} for one in regression]
    assert only_group(stated).margin == 0.25
    assert math.isnan(only_group([one for one in regression if one["objective.scale"] != 1]).margin)
