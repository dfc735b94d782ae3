"""Settings whose learning rate alone is retuned: what theory and the report say of them."""

from __future__ import annotations

import math

import pytest

from cvtrain.experiments.retuned import SETTINGS, report_retuned, retuned, variants
from cvtrain.laws.table import rescaled_hyperparameters
from cvtrain.report.retuned import HALF_GRADIENT, HALF_LOSS
from tests.analysis.synthetic import HALVED, JITTERED, WIRTINGER, row, sweep_of

OCTAVES = range(-4, 4)


def valley(setting, best, times=1.0, seeds=6, **config):
    """Runs of one arm whose log loss is a parabola around a best octave; its test loss is `times`
    the reference's, and a little more or less from seed to seed."""
    rows = []
    for octave in OCTAVES:
        for seed in range(seeds):
            loss = 0.1 * (1 + 0.002 * (-1) ** seed) * math.exp(0.3 * (octave - best) ** 2)
            numbers = {"optimizer__lr": 2.0**octave, "optimizer__weight_decay": len(setting) / 1024}
            run = row(loss, 0.9, seed=seed, variant=setting, **numbers, **config)
            rows.append(run | {"test/loss": loss * times})
    return rows


def swept(moves):
    """A sweep in which half of the loss moves the curve of each setting by some octaves, after
    which the test loss is some multiple of the reference's."""
    rows = []
    for setting, (octaves, times) in moves.items():
        rows += valley(setting, 0.0)
        rows += valley(setting, 0.0, 1.001, **JITTERED)
        rows += valley(setting, octaves, times, **HALVED)
        rows += valley(setting, octaves / 2, **WIRTINGER)
    return sweep_of(rows)


MOVES = {"SGD, clip": (0.1, 1.0), "SGD, decay": (1.0, 1.3), "AdamW, decay": (0.0, 1.0)}


def test_the_move_and_what_remains_after_it_are_measured():
    rows = {(row.setting, row.arm): row for row in retuned(swept(MOVES))}
    assert len(rows) == 6
    for setting, (octaves, times) in MOVES.items():
        half = rows[setting, HALF_LOSS]
        assert half.octaves.mean == pytest.approx(octaves, abs=0.03)
        assert half.rest.mean == pytest.approx(times - 1, abs=0.01)
        assert half.answer.kind == ("absorbed" if times == 1 else "different")
        gradient = rows[setting, HALF_GRADIENT]
        assert gradient.octaves.mean == pytest.approx(octaves / 2, abs=0.03)
        assert gradient.answer.kind == "absorbed"
        assert gradient.twin == ""


def test_the_report_counts_what_stays_the_same():
    document = report_retuned(swept(MOVES))
    loss, gradient, moves = (sentence.text for sentence in document.verdict)
    assert "Half of the loss" in loss
    assert "the same result as the reference in 2 of 3 settings (SGD, clip; AdamW, decay)" in loss
    assert "another result in 1 of 3 settings (SGD, decay)" in loss
    assert "in 3 of 3 settings" in gradient
    assert "with half of the loss by 0 (AdamW, decay) to +1.00 (SGD, decay) octaves" in moves
    first, second = document.tables
    assert "trains like" in first.headings
    assert "trains like" not in second.headings
    assert [row["twin"] for row in first.records] == [
        "lr × ½, threshold × 2",
        "lr × ½, decay × 2",
        "eps × 2",
    ]
    assert document.cover is not None
    names = [axes.get_title() for axes in document.cover.figure.grid.ravel()]
    assert names == ["SGD", "Adam"]


def test_twins_are_what_the_law_compensates():
    """The reference at the twin's numbers has the law's numbers for the factor ½: those kept."""
    for kept in SETTINGS:
        values = {name: value for name, value in kept.values.items() if name != "threshold"}
        values |= {"lr": kept.lr}
        names = {"weight_decay": "decay"}
        times = dict(
            part.replace("½", "0.5").split(" × ") for part in kept.twin.split(", ") if "×" in part
        )
        moved = {
            name: value * float(times.get(names.get(name, name), 1))
            for name, value in values.items()
        }
        scaled = rescaled_hyperparameters(kept.optimizer, moved, 0.5)
        assert {name: scaled[name] for name in values} == values
        assert ("threshold" in times) == ("threshold" in kept.values)


def test_every_setting_has_the_reference_and_two_arms_that_keep_its_hyperparameters():
    assert len(variants()) == 3 * len(SETTINGS)
    for reference, loss, gradient in zip(*[iter(variants())] * 3, strict=True):
        assert loss == [*reference, "objective.scale=0.5"]
        assert gradient == [*reference, "convention=wirtinger"]


def test_without_runs_of_an_arm_nothing_is_compared():
    document = report_retuned(sweep_of(valley("SGD", 0.0)))
    assert [str(sentence) for sentence in document.verdict] == ["Nothing to compare yet."]
