"""Split against modulus: learning rates from the tuning seeds, outcomes from the others."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from cvtrain.analysis.best_lr import ACCURACY, DECIBELS
from cvtrain.analysis.difference import SEEDS_NEEDED
from cvtrain.config.sections import ReportConfig
from cvtrain.experiments.split_vs_modulus import compare_semantics, describe
from cvtrain.report.paired_comparison import comparison_curves
from tests.analysis.synthetic import row, sweep_of

TUNING_SEEDS = ReportConfig().tuning_seeds
SEEDS = range(TUNING_SEEDS + SEEDS_NEEDED)
RATES = (0.25, 0.25 * math.sqrt(2), 0.5)


def runs(losses, test, *, task="digits", optimizer="torch.optim.Adam"):
    """A run per semantics, rate and seed; `losses` and `test` are called with all three."""
    return [
        row(
            losses(semantics, rate, seed),
            test(semantics, rate, seed),
            seed=seed,
            variant=task,
            optimizer__lr=rate,
            optimizer__semantics=semantics,
            optimizer___target_=optimizer,
        )
        for semantics in ("split", "modulus")
        for rate in RATES
        for seed in SEEDS
    ]


def best_at(split, modulus):
    """Validation losses that are least at one rate for each."""
    return lambda semantics, rate, _: abs(rate - (split if semantics == "split" else modulus)) + 0.1


def only(rows):
    (contest,) = compare_semantics(sweep_of(rows))
    return contest


def best_rates(contest):
    return tuple(side.best_lr for side in contest.sides)


def test_each_semantics_has_its_own_best_rate_and_is_compared_there():
    def accuracy(semantics, rate, seed):
        # Elsewhere than at its best rate each would be perfect.
        best = RATES[0] if semantics == "split" else RATES[1]
        return (0.8 if semantics == "split" else 0.85) + 0.001 * seed if rate == best else 1.0

    contest = only(runs(best_at(RATES[0], RATES[1]), accuracy))
    assert best_rates(contest) == (RATES[0], RATES[1])
    assert contest.octaves == pytest.approx(0.5)
    assert [side.edge for side in contest.sides] == [True, False]
    assert contest.metric == ACCURACY
    assert contest.difference.mean == pytest.approx(5.0)
    assert contest.difference.pairs == SEEDS_NEEDED


def test_held_out_seeds_have_no_say_in_the_learning_rate():
    def loss(semantics, rate, seed):
        return best_at(RATES[1], RATES[1])(semantics, rate, seed) if seed < TUNING_SEEDS else -rate

    assert best_rates(only(runs(loss, lambda *_: 0.9))) == (RATES[1], RATES[1])


def test_the_interval_is_students_over_held_out_seeds():
    noise = np.random.default_rng(0).normal(size=len(SEEDS))

    def accuracy(semantics, _, seed):
        return 0.9 + (0.01 * noise[seed] if semantics == "modulus" else 0.0)

    contest = only(runs(best_at(RATES[1], RATES[1]), accuracy))
    held_out = noise[TUNING_SEEDS:]
    expected = stats.ttest_1samp(held_out, 0)
    interval = expected.confidence_interval(0.95)
    assert contest.p_value == pytest.approx(expected.pvalue, rel=1e-6)
    assert (contest.difference.low, contest.difference.high) == pytest.approx(interval, rel=1e-6)


def test_a_regression_is_told_in_decibels():
    rows = runs(best_at(RATES[1], RATES[1]), lambda *_: math.nan)
    for run_row in rows:
        run_row["test/nmse"] = 0.01 if run_row["optimizer.semantics"] == "split" else 0.001
    contest = only(rows)
    assert contest.metric == DECIBELS
    assert [side.mean for side in contest.sides] == pytest.approx([-20.0, -30.0])
    assert contest.difference.mean == pytest.approx(-10.0)


def test_a_rate_at_which_a_tuning_run_diverged_is_not_chosen():
    rows = runs(best_at(RATES[1], RATES[1]), lambda *_: 0.9)
    for run_row in rows:
        if run_row["optimizer.lr"] == RATES[1] and run_row["seed"] == 0:
            run_row["status"] = "diverged"
    assert RATES[1] not in best_rates(only(rows))


def test_differences_are_counted_at_a_false_discovery_rate():
    noise = np.random.default_rng(1).normal(size=(10, len(SEEDS)))
    rows = []
    for number in range(10):

        def accuracy(semantics, _, seed, number=number):
            gain = 0.05 if number == 3 else 0.0
            return 0.9 + (gain + 0.01 * noise[number, seed] if semantics == "modulus" else 0.0)

        rows += runs(best_at(RATES[0], RATES[1]), accuracy, task=f"task {number}")
    comparisons = compare_semantics(sweep_of(rows))
    ratio, differences, control = describe(comparisons)
    assert control.startswith("There is no jitter control")
    assert "median × 1.41" in ratio
    assert differences.startswith("1 of 10 differences are significant")
    assert "task 3, Adam: modulus better by" in differences
    assert len(comparison_curves(comparisons).axes) == 10


def test_few_seeds_tell_no_difference_however_equal_they_are():
    def accuracy(semantics, _, seed):
        return 0.9 if semantics == "split" else 0.8

    rows = [row for row in runs(best_at(RATES[1], RATES[1]), accuracy) if row["seed"] < 8]
    _, differences, control = describe(compare_semantics(sweep_of(rows)))
    assert control.startswith("There is no jitter control")
    assert differences == f"Differences: inconclusive (it takes {SEEDS_NEEDED} held-out seeds)."


@pytest.mark.parametrize(("metric", "better"), [("accuracy", "modulus"), ("nmse", "split")])
def test_the_better_one_has_more_accuracy_or_fewer_decibels(metric, better):
    rows = runs(best_at(RATES[1], RATES[1]), lambda semantics, *_: 0.8)
    for run_row in rows:
        larger = run_row["optimizer.semantics"] == "modulus"
        value = (0.1 if larger else 0.01) if metric == "nmse" else (0.9 if larger else 0.8)
        run_row |= {"test/accuracy": math.nan} if metric == "nmse" else {}
        run_row[f"test/{metric}"] = value
    assert f": {better} better by 10 " in only(rows).outcome
