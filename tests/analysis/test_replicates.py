"""Splits of the data as replicates: means of splits, and intervals that cover what is true of the
task."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cvtrain.analysis.best_lr import best_rate
from cvtrain.analysis.compare import compare
from cvtrain.analysis.optimum import leave_one_out
from cvtrain.analysis.replicates import (
    data_splits,
    replicate_means,
    replicates,
    seconds_per_replicate,
)
from cvtrain.analysis.statistics import interval
from cvtrain.analysis.verdict import decide
from tests.analysis.simulated import Truth, draw
from tests.analysis.synthetic import HALVED, row, sweep_of

RATES = (0.0625, 0.125, 0.25)
LOSSES = (0.5, 0.3, 0.4)


def test_seeds_are_replicates_of_one_split_and_splits_are_where_there_are_several():
    assert replicates([(3, 5), (3, 1), (3, 5)]).tolist() == [1, 0, 1]
    assert replicates([(3, 5), (2, 1), (3, 1)]).tolist() == [1, 0, 1]
    assert replicates([(seed, seed) for seed in range(4)]).tolist() == [0, 1, 2, 3]
    assert replicates([]).size == 0


@pytest.mark.parametrize(
    ("seeds", "splits"),
    [
        ([3, 1, 3], [3, 1, 3]),
        ([2.0, math.nan, 1.0], [2, 0, 1]),
        (["a", "b", "a"], [0, 1, 0]),
        ([[1], {}, 2**70], [0, 1, 2]),
        ([True, 1, 0.5], [0, 1, 2]),
    ],
)
def test_seeds_of_the_data_that_are_no_whole_numbers_are_counted(seeds, splits):
    runs = pd.DataFrame({"data.seed": pd.Series(seeds, dtype=object)})
    assert data_splits(runs).tolist() == splits
    assert data_splits(pd.DataFrame({"seed": seeds})).tolist() == [0, 0, 0]


def test_unknown_values_are_left_out_and_an_infinite_one_makes_its_replicate_infinite():
    values = np.array([1.0, 3.0, np.nan, np.nan, 5.0, -np.inf])
    members = np.array([0, 0, 1, 2, 2, 3])
    assert replicate_means(values, members).tolist() == [2.0, 5.0, -np.inf]
    assert replicate_means(np.array([np.inf, -np.inf]), np.array([0, 0])).size == 0


@pytest.mark.parametrize("splits", [3, 8, 20])
def test_intervals_over_splits_cover_the_truth_and_those_over_seeds_do_not(splits, share):
    draws = share(4000)
    seeds = 4
    slack = 3 * math.sqrt(0.05 * 0.95 / draws)
    rng = np.random.default_rng(splits)
    keys = [(split, seed) for split in range(splits) for seed in range(seeds)]
    values = np.repeat(rng.normal(0, 1, (draws, splits)), seeds, axis=1)
    values += rng.normal(0, 1, values.shape)
    over_splits = [interval(replicate_means(sample, replicates(keys))) for sample in values]
    over_seeds = [interval(sample) for sample in values]
    held, naive = (
        np.mean([one.low <= 0 <= one.high for one in intervals])
        for intervals in (over_splits, over_seeds)
    )
    assert abs(held - 0.95) <= 0.02 + slack
    assert naive < 0.85


def runs(splits, seeds, accuracy, **config):
    return [
        row(loss, accuracy(split, seed), seed=seed, data__seed=split, optimizer__lr=rate, **config)
        for split in splits
        for seed in seeds
        for loss, rate in zip(LOSSES, RATES, strict=True)
    ]


def test_runs_are_paired_by_split_and_seed_and_a_split_counts_once():
    rng = np.random.default_rng(4)
    own, gain = rng.normal(0.9, 0.01, (2, 4, 3))
    rows = runs(range(4), range(3), lambda split, seed: own[split, seed])
    rows += runs(range(4), range(3), lambda split, seed: gain[split, seed], **HALVED)[::-1]
    (group,) = compare(sweep_of(rows)).groups
    assert (group.name, group.replicates, group.unit) == ("SGD", 4, "data split")
    expected = stats.ttest_1samp((gain - own).mean(axis=1), 0.0)
    ends = expected.confidence_interval(0.95)
    arm = group.arm("scale ½, pytorch")
    for difference in (arm.retuned, arm.unretuned):
        assert difference.pairs == 12
        assert difference.values == pytest.approx((gain - own).mean(axis=1))
        assert (difference.low, difference.high) == pytest.approx((ends.low, ends.high))


def test_a_split_has_no_say_in_the_rate_on_which_its_runs_are_judged():
    grid = draw(np.random.default_rng(1), Truth(), 6)
    keys = tuple((split, seed) for split in range(3) for seed in range(2))
    losses = np.full(grid.loss.shape, 0.5)
    losses[:, 4] = 0.3
    losses[2:4, 5] = 0.001  # split 1 alone would choose this one
    assert losses.mean(axis=0).argmin() == 4
    losses[2:4, 4] = 2.0
    grid = replace(grid, keys=keys, loss=losses, fails=np.zeros(losses.shape, dtype=bool))
    assert losses.mean(axis=0).argmin() == 5
    assert leave_one_out(grid)[2:4].tolist() == [4, 4]


def test_the_time_of_a_replicate_leaves_out_the_pause_between_two_commands():
    rows = runs([0], range(2), lambda *_: 0.9)
    began = ["2026-01-01T10:00:00", "2026-01-01T10:00:10", "2026-01-02T09:00:00"] * 2
    took = [30.0, 30.0, 20.0] * 2  # 40 s, and 20 s on the day after
    table = pd.DataFrame(rows).assign(split=0, started=began, wall_seconds=took)
    assert seconds_per_replicate(table) == pytest.approx(30)
    assert math.isnan(seconds_per_replicate(table.assign(started=None, wall_seconds=math.nan)))


def test_a_rate_is_chosen_where_each_seed_has_a_split_of_its_own():
    rows = [one for n in range(4) for one in runs([n], [n], lambda *_: 0.9)]
    assert best_rate(compare(sweep_of(rows)).runs) == RATES[1]


@pytest.mark.parametrize(
    ("splits", "seeds", "wanted"),
    [
        ([(s, n) for s in range(4) for n in range(2)], "data split", "data.seed=range(0,"),
        ([(s, s) for s in range(4)], "data split", "seed=range(0,"),
        ([(0, s) for s in range(4)], "seed", "seed=range(0,"),
    ],
)
def test_what_would_answer_is_more_of_what_is_repeated(splits, seeds, wanted):
    rng = np.random.default_rng(5)
    rows = []
    for config in ({}, {"init_jitter": 1e-6}, {"convention__scale": 0.5}):
        for split, seed in splits:
            noise = rng.normal(0, 0.02)
            one = runs([split], [seed], lambda *_: 0.9 + rng.normal(0, 0.02), **config)
            for run_row in one:
                run_row["val/loss"] = run_row["test/loss"] = run_row["val/loss"] * math.exp(noise)
                run_row["report.decides_on"] = "optimum"
            rows += one
    comparison = compare(sweep_of(rows))
    answer = decide(comparison.groups)["SGD", "scale 1, wirtinger"]
    assert f" more {seeds}" in answer.outcome
    assert answer.more_overrides[0].startswith(wanted)
