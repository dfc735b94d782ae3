"""Two sweeps side by side: what their common points say."""

from __future__ import annotations

import numpy as np
import pytest

from cvtrain.analysis.difference import SEEDS_NEEDED
from cvtrain.cli.report import main
from cvtrain.report.sweep_diff import change_section, match
from tests.analysis.synthetic import HALVED, row, sweep_of, write_run

NAMES = ("before", "after")
RATES = (0.125, 0.25)


def runs(accuracy, *, seeds=SEEDS_NEEDED, arms=({}, HALVED), **config):
    """A run per arm, rate and seed; the smaller rate is the better one."""
    return [
        row(
            0.1 + rate,
            accuracy(index, seed),
            seed=seed,
            optimizer__lr=rate,
            **arm,
            **config,
        )
        for index, arm in enumerate(arms)
        for rate in RATES
        for seed in range(seeds)
    ]


def told(first, second):
    (sentence,) = change_section(sweep_of(first), sweep_of(second), NAMES).sentences
    return sentence.text


def test_the_same_sweep_twice_is_equal_to_the_bit():
    noise = np.random.default_rng(0).normal(size=SEEDS_NEEDED)
    once = runs(lambda _, seed: 0.9 + 0.01 * noise[seed])
    text = told(once, once)
    assert "40 points are in both before and after; 40 of the common ones ended with equal" in text
    assert "all have the same status" in text
    assert "test metric of 0 of 2 arms changed" in text


def test_an_arm_that_comes_out_otherwise_is_named_and_no_other():
    noise = np.random.default_rng(1).normal(size=(2, SEEDS_NEEDED))
    before = runs(lambda *_: 0.9)
    after = runs(
        lambda place, seed: 0.9 + 0.001 * noise[place, seed] - (0.05 if place == 1 else 0.0)
    )
    text = told(before, after)
    assert "test metric of 1 of 2 arms changed" in text
    assert text.endswith("SGD, scale ½, pytorch.")
    (table,) = change_section(sweep_of(before), sweep_of(after), NAMES).tables
    assert [record["difference"] for record in table.records] == pytest.approx(
        [0.001 * noise[0].mean(), 0.001 * noise[1].mean() - 0.05]
    )


def test_few_seeds_cannot_tell():
    before, after = (runs(lambda *_, a=a: a, seeds=3) for a in (0.9, 0.8))
    assert f"inconclusive (it takes {SEEDS_NEEDED} seeds)" in told(before, after)


def test_points_are_matched_in_spite_of_a_setting_that_all_have_otherwise():
    before = runs(lambda *_: 0.9, max_steps=20)
    after = runs(lambda *_: 0.9, max_steps=40)
    text = told(before, after)
    assert "max_steps is 20 in before and 40 in after" in text
    assert "40 points are in both" in text


def test_settings_of_another_optimizer_are_absent_and_not_all_spelled_out():
    other = {f"optimizer__{key}": 0.5 for key in ("a", "b", "c", "d", "e")}
    text = told(runs(lambda *_: 0.9), runs(lambda *_: 0.9, **other))
    assert "optimizer.a is absent in before and 0.5 in after" in text
    assert "optimizer.e" not in text
    assert "1 more setting differ" in text


def test_points_that_one_sweep_alone_has_are_counted():
    before = runs(lambda *_: 0.9)
    after = runs(lambda *_: 0.9, seeds=SEEDS_NEEDED + 2)
    text = told(before, after)
    assert "40 points are in both before and after; 8 only in after" in text


def test_a_run_that_ended_in_another_way_is_told():
    before = runs(lambda *_: 0.9)
    after = [dict(row) for row in before]
    after[0]["status"] = "diverged"
    matched = match(sweep_of(before), sweep_of(after))
    assert int(matched.equal.sum()) == 39
    assert "1 have another status" in told(before, after)


def test_sweeps_without_a_common_point_say_so():
    rows = runs(lambda *_: 0.9, seeds=2)
    assert told(rows[:2], rows[2:]) == "No point is in both before and after."


def test_two_directories_give_one_page_that_says_what_changed(tmp_path, capsys):
    for name, accuracy in (("a", 0.9), ("b", 0.8)):
        final = {
            "val/loss": 0.5,
            "test/loss": 0.5,
            "test/accuracy": accuracy,
            "convergence/initial/loss": 2.0,
            "convergence/steps_to_target": 10.0,
        }
        write_run(tmp_path / name / "0", final=final)
    assert main([str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    printed = capsys.readouterr().out
    assert "1 point is in both a and b" in printed.replace("\n", " ")
    last = [line.partition(" ") for line in printed.splitlines()[-3:]]
    assert [purpose for purpose, *_ in last] == ["tables:", "look:", "look:"]
    assert last[2][2].endswith("/b")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "What changed" in page
    assert main([str(tmp_path / "a"), str(tmp_path / "a")]) == 2
    assert "named twice" in capsys.readouterr().err


def test_each_sweep_is_judged_at_its_own_best_rate():
    before = runs(lambda *_: 0.9, arms=({},))
    after = [
        one | {"val/loss": 1 - one["val/loss"], "test/accuracy": 0.5 + one["optimizer.lr"]}
        for one in before
    ]
    (table,) = change_section(sweep_of(before), sweep_of(after), NAMES).tables
    (record,) = table.records
    assert (record["lr_first"], record["lr_second"]) == (0.125, 0.25)
    assert (record["mean_first"], record["mean_second"]) == pytest.approx((0.9, 0.75))
    assert record["difference"] == pytest.approx(-0.15)


def test_a_last_bit_is_a_difference():
    once = runs(lambda *_: 0.9, arms=({},), seeds=2)
    again = [dict(one) for one in once]
    again[0]["val/loss"] = float(np.nextafter(again[0]["val/loss"], 1))
    assert match(sweep_of(once), sweep_of(again)).equal.tolist() == [False, True, True, True]
