"""The answer before everything else: its table, its sentences, in 80 columns and on the page."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from rich.console import Console

from cvtrain.analysis.answer import Answer, LawCheck
from cvtrain.analysis.arms import REFERENCE
from cvtrain.analysis.metric import ACCURACY
from cvtrain.analysis.optimum import failures
from cvtrain.analysis.price import Price, Prices
from cvtrain.analysis.registration import Registration
from cvtrain.analysis.statistics import Interval
from cvtrain.report.answers import (
    _record,
    cost_of_keeping_rate,
    factor_octaves,
    learning_rate,
    outcome,
)
from cvtrain.report.cells import STATUS
from cvtrain.report.console import answer_rows, answer_table
from cvtrain.report.lr_sweep import report_retuning
from tests.analysis.synthetic import HALVED, WIRTINGER, row, sweep_of

OCTAVES = range(-4, 2)
NO = Interval(math.nan, math.nan, math.nan, 0)


def runs(shift=0.0, seeds=6, **config):
    """An arm whose curve is the reference's, moved by so many octaves: it falls by half per octave
    up to octave 0, and rises after it."""
    return [
        row(
            (0.1 + 0.2 * 2.0 ** -(octave - shift)) if octave - shift <= 0 else 0.9,
            0.95,
            seed=seed,
            optimizer__lr=2.0**octave,
            **config,
        )
        for octave in OCTAVES
        for seed in range(seeds)
    ]


def registered(octaves, low, high, reason=None):
    shift = Interval(octaves, low, high, 6)
    return Registration(shift, NO, math.nan, math.nan, 0.05, False, reason=reason)


def answered(kind, text="", **more):
    return Answer("SGD", "scale ½, pytorch", kind, advice="", outcome=text, **more)


def law(octaves, equal=16, base=REFERENCE):
    return LawCheck(base, octaves, 16, equal, 100, 0, 0.0)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (answered("relabelling", law=law(1.0)), "× 2, exactly"),
        (answered("relabelling", law=law(0.0)), "unchanged, exactly"),
        (
            answered("relabelling", law=law(1.0, base="scale 1, wirtinger")),
            "× 2 of “textbook gradient”, exactly",
        ),
        (answered("absorbed", registration=registered(0.41, 0.40, 0.42)), "× 1.33 [1.32, 1.34]"),
        (answered("absorbed", registration=registered(0.01, -0.03, 0.05)), "unchanged"),
        (answered("inconclusive", registration=registered(1.0, math.nan, math.nan)), "× 2.00"),
        (answered("inconclusive", registration=registered(math.nan, 0, 0, "flat")), "unknown"),
        (answered("never learns"), "none works"),
    ],
)
def test_a_cell_says_what_to_do_with_the_learning_rate(answer, text):
    assert learning_rate(answer) == text


@pytest.mark.parametrize(
    ("answer", "text", "status"),
    [
        (
            answered("relabelling", "the same training, bit for bit (16 of 16 pairs)"),
            "✓ yes, bit for bit (16 of 16 pairs)",
            "good",
        ),
        (
            answered("absorbed", "the outcome is equal within 5 % (−0.5 % of test loss)"),
            "✓ yes, within 5 % (−0.5 %)",
            "good",
        ),
        (
            answered("different", "not the same: the outcome differs: +9 % of test loss"),
            "✗ no: it differs: +9 %",
            "bad",
        ),
        (answered("inconclusive", "inconclusive: about 6 more seeds"), "? 6 more seeds", "open"),
        (answered("law broken", "law broken: 15 of 16"), "✗ no: 15 of 16", "bad"),
    ],
)
def test_a_cell_says_whether_the_outcome_is_then_the_same_behind_a_sign(answer, text, status):
    assert outcome(answer) == text
    assert STATUS[text[0]] == status


def test_files_have_the_factor_of_a_law_and_not_its_estimate_from_few_points():
    near = registered(1.04, 1.02, 1.06)
    exact = _record(answered("relabelling", law=law(1.0), registration=near))
    assert (exact["factor"], exact["factor_low"], exact["factor_high"]) == (2.0, 2.0, 2.0)
    of_another = law(1.0, base="scale 1, wirtinger")
    measured = _record(answered("relabelling", law=of_another, registration=near))
    assert measured["factor"] == 2**1.04


def test_a_curve_is_moved_by_what_a_law_or_registration_says():
    assert factor_octaves(answered("relabelling", law=law(1.0))) == 1.0
    assert factor_octaves(answered("absorbed", registration=registered(0.4, 0.3, 0.5))) == 0.4
    assert math.isnan(factor_octaves(answered("never learns")))


@pytest.mark.parametrize(
    ("mean", "text"),
    [
        (-0.1, "−10.0 [−12.0, −8.0] points of test accuracy, 1 of 6 fail"),
        (-math.inf, "many runs fail, 1 of 6 fail"),
    ],
)
def test_the_unit_of_a_cost_follows_its_number_and_not_the_count_of_failed_runs(mean, text):
    fails = failures(np.zeros(6, bool), np.arange(6) == 0)
    kept = Price(0.0, Interval(mean, -0.12, -0.08, 6), NO, fails, 50, 50)
    answer = answered("different", prices=Prices(kept, None))
    assert cost_of_keeping_rate(answer, ACCURACY, "points of test accuracy") == (text, "")


def shown(document, width):
    console = Console(width=width, record=True, file=io.StringIO())
    answer = document.answer
    console.print(answer_table(answer.headings, answer_rows(answer), answer.caption))
    return console.export_text()


def test_the_answer_is_whole_in_80_columns_and_less_than_a_screenful():
    arms = (runs(), runs(0.5, **WIRTINGER), runs(1.0, **HALVED), runs(1.5, **HALVED, **WIRTINGER))
    adam = {"optimizer._target_": "torch.optim.Adam"}
    rows = [one for rows in arms for one in rows]
    document = report_retuning(sweep_of([*rows, *(one | adam for one in rows)]))
    assert document.title == "Does the factor 2 in w.grad matter here?"
    assert document.subject == "digits_fft, mlp, 288 runs of 20 steps, 6 seeds"
    text = shown(document, 80)
    assert "…" not in text.replace("[…]", "")
    assert max(map(len, text.splitlines())) <= 80
    words = " ".join(text.split())
    for part in ("× 1.42", "× 2.00", "textbook gradient: scale 1, wirtinger"):
        assert part in words, part
    keys = {record["arm"] for record in document.answer.records}
    assert keys == {"scale 1, wirtinger", "scale ½, pytorch", "scale ½, wirtinger"}


def test_what_a_wrong_learning_rate_costs_the_reference_is_a_table():
    rows = [one for shift in (0.0, 0.5) for one in runs(shift, **(WIRTINGER if shift else {}))]
    document = report_retuning(sweep_of(rows))
    (table,) = (one for one in document.tables if one.name == "sgd_regret")
    assert [record["factor"] for record in table.records] == [0.25, 0.5, 2.0]
    # The loss is 0.3 at the best rate, 0.5 and 0.9 at a half and a quarter of it.
    assert [round(record["loss"]) for record in table.records] == [200, 67, 200]
    assert [cells[0] for cells in table.cells] == ["× 0.25", "× 0.5", "× 2"]
    caption = document.answer.caption
    assert "tests at 3.3 %, look 1, 6 of at most 32 seeds (5 % over all looks)" in caption
    assert "no jitter control, so that no outcome can be called different" in caption


def test_a_sentence_on_many_groups_counts_them_instead_of_naming_them():
    arms = (runs(), runs(1.0, **HALVED))
    rows = [one | {"variant": f"task {n}"} for n in range(4) for arm in arms for one in arm]
    document = report_retuning(sweep_of(rows))
    texts = [str(sentence) for sentence in document.verdict]
    assert any(text.startswith("4 of 4 rows of the table: ") for text in texts), texts
    assert not any("task 0" in text and "task 3" in text for text in texts)


@pytest.mark.parametrize("seeds", [2, 3])
def test_a_sweep_without_a_jitter_control_says_so_however_few_its_seeds(seeds):
    document = report_retuning(sweep_of([*runs(0.0, seeds), *runs(0.5, seeds, **WIRTINGER)]))
    assert "no jitter control" in document.answer.caption


def test_arms_of_a_group_that_agree_in_all_share_a_row_on_a_terminal():
    arms = (runs(), runs(0.5, **WIRTINGER), runs(0.5, **HALVED))
    text = shown(report_retuning(sweep_of([one for rows in arms for one in rows])), 118)
    assert len([line for line in text.splitlines() if "× 1.42" in line]) == 1


def test_an_ablation_of_ones_own_is_one_table_under_a_title_that_names_it():
    none = runs(clip={"kind": "none"})
    norm = runs(1.0, clip={"kind": "norm", "threshold": 0.5})
    document = report_retuning(sweep_of([*none, *norm]))
    assert document.title == "What does clip.kind change?"
    (record,) = document.answer.records
    assert (record["group"], record["arm"]) == ("SGD", "clip.kind=norm")
    assert record["factor"] == pytest.approx(2.0)
    assert "against clip.kind=none" in document.answer.headings
    assert "clip.kind=norm" in shown(document, 80)
    names = [picture.name for picture in document.pictures]
    assert names[:2] == ["registered", "learning_rates"]
