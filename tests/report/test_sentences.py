"""What the report says in words and in its table."""

from __future__ import annotations

import math

import pytest

from cvtrain.analysis.compare import compare
from cvtrain.analysis.difference import Difference
from cvtrain.analysis.verdict import decide
from cvtrain.experiments.publish import publish
from cvtrain.report.answers import answer_sentences
from cvtrain.report.cells import rate_text
from cvtrain.report.lr_sweep import report_retuning, table_names
from cvtrain.report.narrative import describe_group, interval
from tests.analysis.synthetic import (
    HALVED,
    JITTERED,
    UNCONJUGATED,
    WIRTINGER,
    describe_sweep,
    row,
    sweep_of,
    write_run,
)

RATES = (0.0625, 0.125, 0.25)
SPREAD = (0.0, 0.01, 0.02)
ADAM = {"optimizer___target_": "torch.optim.Adam"}


def arm(losses=(0.3, 0.2, 0.4), shifts=SPREAD, status="finished", **config):
    """Runs at three rates and with three seeds; `shifts` are added to an accuracy of 0.9."""
    return [
        row(loss, 0.9 + shift, status, seed=seed, optimizer__lr=rate, **config)
        for rate, loss in zip(RATES, losses, strict=True)
        for seed, shift in enumerate(shifts)
    ]


def group_of(*arms):
    (group,) = compare(sweep_of([one for rows in arms for one in rows])).groups
    return group


def told(*arms):
    group = group_of(*arms)
    answers = decide([group])
    rows = {arm.name: (f"row {index}",) for index, arm in enumerate(group.arms)}
    verdict = [str(arm) for arm in answer_sentences([group], answers)]
    return verdict, [str(arm) for arm in describe_group(group, answers, rows)]


def test_a_sentence_has_the_advice_the_outcome_and_what_it_costs_not_to():
    verdict, (line,) = told(arm(), arm((0.4, 0.3, 0.2), (0.012, -0.002, 0.021), **WIRTINGER))
    assert verdict[0] == "SGD with textbook gradient: inconclusive."
    assert line.startswith("scale 1, wirtinger: multiply the learning rate by 2.0")
    assert "; rate kept: " in line and "points of test accuracy" in line
    assert line.endswith("[row 1]")


@pytest.mark.parametrize(
    ("size", "seeds_of_data", "text"),
    [
        (2000, (0,), "the margin of 0.5 points is 10 of 2,000 test samples."),
        (359, (0,), "1.8 of 359 test samples: too few to generalise to other test samples"),
        (359, (0, 1), "1.8 of 359 test samples, in each of 2 splits."),
    ],
)
def test_the_margin_of_an_accuracy_is_said_in_test_samples(size, seeds_of_data, text):
    made = {"made_with": (("samples", (("training", 9), ("test", size))),), "look": 0}
    rows = [
        one | {"data.seed": seed_of_data, "report.decides_on": "optimum"} | made
        for seed_of_data in seeds_of_data
        for one in [*arm(), *arm((0.4, 0.3, 0.2), **WIRTINGER)]
    ]
    document = report_retuning(sweep_of(rows))
    assert any(text in str(sentence) for sentence in document.verdict)
    section = next(one for one in document.sections if one.title == "SGD")
    assert any(text in str(sentence) for sentence in section.sentences)
    nothing = report_retuning(sweep_of([one | {"made_with": math.nan} for one in rows]))
    assert "test samples" not in str(nothing.verdict)


def test_the_table_shows_the_difference_that_the_answer_speaks_of():
    shifts = [0.001 * number for number in (0, 1, 2.5, 3, 4, 5.5, 6, 7)]
    rows = [
        *arm(shifts=shifts),
        *arm((0.4, 0.3, 0.2), [*(shift - 0.02 for shift in shifts[1:]), -0.5], **WIRTINGER),
        *arm(shifts=shifts[::-1], **JITTERED),
    ]
    rows = [one | {"report.decides_on": "optimum"} for one in rows]
    document = report_retuning(sweep_of(rows))
    (fact,) = document.facts["verdict"][0]["arms"]
    judged = fact["optimum"]["difference"]
    (table,) = (one for one in document.tables if one.name == "sgd_differences")
    shown = table.records[0]
    assert shown["arm"] == "scale 1, wirtinger"
    ends = [shown[f"retuned_{end}"] for end in ("mean", "low", "high")]
    assert ends == [judged[end] for end in ("mean", "low", "high")]
    assert shown["retuned_mean"] == pytest.approx(-0.02, abs=0.003)  # one run of eight went astray
    assert shown["unretuned_mean"] == pytest.approx(-0.02, abs=0.003)


def test_an_arm_that_does_not_learn_where_the_reference_does_is_said_not_to():
    verdict, (line,) = told(arm(), arm((1.99, 1.98, 2.0), **UNCONJUGATED))
    assert verdict[0] == "SGD with gradient not conjugated: no learning rate works."
    assert line.startswith("scale 1, unconjugated: no rate helps: never learns")


def test_an_arm_that_was_interrupted_is_not_said_to_learn_nowhere():
    _, (line,) = told(arm(), arm(status="interrupted", **HALVED))
    assert "scale ½, pytorch has no usable learning rate" in line


@pytest.mark.parametrize(
    ("arms", "reason"),
    [
        ([arm(**HALVED)], "nothing to compare with: no run of scale 1, pytorch"),
        ([arm(), arm(**JITTERED)], "nothing to compare: only scale 1, pytorch was run"),
        ([arm(status="diverged")], "nothing to compare: only scale 1, pytorch was run"),
    ],
)
def test_without_a_reference_or_another_arm_there_is_nothing_to_compare(arms, reason):
    document = report_retuning(sweep_of([one for rows in arms for one in rows]))
    assert [str(sentence) for sentence in document.verdict] == [f"SGD: {reason}."]
    assert document.answer is None


def test_beside_a_reference_of_which_no_run_is_usable_an_arm_is_inconclusive():
    verdict, lines = told(arm(status="diverged"), arm(**HALVED))
    assert verdict[0] == "SGD with ½ in the loss: inconclusive."
    assert lines == []


def test_what_rounds_to_zero_has_no_sign():
    small = Difference(-1e-9, -4e-5, 4.9e-5, 3, False)
    assert interval(small, "test/accuracy") == "0 [0, 0] points of test accuracy (3 pairs)"
    assert interval(small, "test/nmse") == "−1e-09 [−4e-05, +4.9e-05] test nmse (3 pairs)".replace(
        "e-", "e−"
    )


def test_one_pair_has_no_interval_and_no_pair_no_number():
    alone = Difference(0.25, math.nan, math.nan, 1, False)
    assert (
        interval(alone, "test/accuracy") == "+25.00 points of test accuracy (1 pair: no interval)"
    )
    nothing = Difference(math.nan, math.nan, math.nan, 0, False)
    assert interval(nothing, "test/accuracy") == "no pairs of equal seed"


@pytest.mark.parametrize(
    ("lr", "text"), [(0.125, "2⁻³"), (1.0, "2⁰"), (2**-2.5, "2⁻²·⁵"), (0.1, "0.1")]
)
def test_powers_of_two_are_shown_as_such(lr, text):
    assert rate_text(lr) == text


def test_the_table_has_a_line_per_arm_and_a_star_at_an_edge():
    rows = arm() + arm((0.5, 0.4, 0.2), **HALVED) + arm(status="diverged", **WIRTINGER)
    rows[-1]["status"] = "failed"
    table = next(t for t in report_retuning(sweep_of(rows)).tables if t.name == "sgd_arms")
    lines = {cells[0]: "|".join(cells) for cells in table.cells}
    assert list(lines) == ["scale 1, pytorch", "scale ½, pytorch", "scale 1, wirtinger"]
    assert "2⁻³|" in lines["scale 1, pytorch"]
    assert "91.00 ± 1.00 %" in lines["scale 1, pytorch"]
    assert "2⁻²*" in lines["scale ½, pytorch"]
    assert "none" in lines["scale 1, wirtinger"]
    assert "9 (1 failed)" in lines["scale 1, wirtinger"]


@pytest.mark.parametrize("begun", [0, 3, 6])
def test_a_half_finished_sweep_has_a_summary(tmp_path, capsys, blank_figures, begun):
    names = [str(number) for number in range(6)]
    describe_sweep(tmp_path, *names)
    rows = arm()[::3] + arm(**HALVED)[::3]
    for name, one in zip(names[:begun], rows, strict=False):
        final = {tag: value for tag, value in one.items() if "/" in tag}
        arm_keys = {
            "optimizer__lr": one["optimizer.lr"],
            "objective__scale": one["objective.scale"],
        }
        write_run(tmp_path / name, final=final, **arm_keys)
    publish(tmp_path)
    out = capsys.readouterr().out
    assert (f"{6 - begun} of 6 runs have not begun" in out) is (begun < 6)
    assert ("scale ½, pytorch" in out) is (begun == 6)
    assert (tmp_path / "report" / "learning_rates.svg").exists() is (begun > 1)


def test_every_group_has_files_of_its_own_whatever_its_name_is():
    names = table_names(["SGD, a$", "SGD, a%", "SGD, a_2", "ü", "ℂ", "x" * 500, "x" * 501])
    assert names[:3] == ["sgd_a", "sgd_a_2", "sgd_a_2_2"]
    assert len(set(names)) == 7
    assert max(map(len, names)) < 200
