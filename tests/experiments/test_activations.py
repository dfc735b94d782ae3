"""Combinations at their own learning rates, distinguished only where seeds are enough."""

from __future__ import annotations

import numpy as np
import pytest

from cvtrain.analysis.difference import SEEDS_NEEDED
from cvtrain.config.sections import ReportConfig
from cvtrain.experiments.activations import against, combinations, effects, report_activations
from cvtrain.process.errors import InputError
from tests.analysis.synthetic import row, sweep_of

TUNING = ReportConfig().tuning_seeds
RATES = (0.25, 0.5)
NOISE = np.random.default_rng(0).normal(size=512)


def runs(gain, *, seeds=TUNING + SEEDS_NEEDED, best=lambda *_: RATES[0], status=None):
    """A run per combination, rate and seed; `gain` is what a combination adds to the accuracy."""
    rows = []
    for activation in ("CReLU", "cardioid"):
        for initialisation in ("glorot", "he"):
            for normalisation in ("none", "batch"):
                levels = (activation, initialisation, normalisation)
                for rate in RATES:
                    for seed in range(seeds):
                        noise = 0.001 * NOISE[len(rows)]
                        run_row = row(
                            0.2 - gain(*levels) + abs(rate - best(*levels)),
                            0.9 + gain(*levels) + noise,
                            seed=seed,
                            optimizer__lr=rate,
                            model__activation=activation,
                            model__initialisation=initialisation,
                            model__normalisation=normalisation,
                        )
                        if status is not None:
                            run_row["status"] = status(*levels, rate)
                        rows.append(run_row)
    return rows


def batch_helps(_, __, normalisation):
    return 0.05 if normalisation == "batch" else 0.0


def test_each_combination_is_measured_at_its_own_rate():
    effects, metric = combinations(
        sweep_of(runs(batch_helps, best=lambda a, *_: RATES[0] if a == "CReLU" else RATES[1]))
    )
    assert metric == "test accuracy, %"
    assert len(effects) == 8
    for effect in effects:
        assert effect.tuned.best_lr == (RATES[0] if effect.levels[0] == "CReLU" else RATES[1])
        assert len(effect.tuned.best) == SEEDS_NEEDED


def test_a_factor_that_helps_everywhere_is_told_everywhere_and_another_nowhere():
    all_effects, _ = combinations(sweep_of(runs(batch_helps)))
    changed = effects(all_effects)
    by_factor = {
        factor: [effect.significant for effect in changed if effect.factor == factor]
        for factor in ("initialisation", "normalisation")
    }
    assert by_factor["normalisation"] == [True] * 4
    assert sum(by_factor["initialisation"]) <= 1
    for effect in changed:
        if effect.factor == "normalisation":
            assert effect.difference.mean == pytest.approx(5.0, abs=0.2)


def test_the_choice_is_that_of_validation_and_others_are_compared_with_it():
    gain = {"CReLU": 0.0, "cardioid": 0.03}
    document = report_activations(sweep_of(runs(lambda a, i, _: gain[a] + 1e-6 * (i == "he"))))
    text = " ".join(sentence.text for sentence in document.verdict)
    assert document.facts["choice"]["activation"] == "cardioid"
    assert document.facts["choice"]["initialisation"] == "he"
    assert "3 of 7 others do not differ from it significantly" in text
    assert len(document.pictures[0].figure.axes) == 4


def test_few_seeds_tell_nothing_apart():
    document = report_activations(sweep_of(runs(batch_helps, seeds=4)))
    text = " ".join(sentence.text for sentence in document.verdict)
    assert f"inconclusive (it takes {SEEDS_NEEDED} held-out seeds)" in text
    effect = next(table for table in document.tables if table.name == "effects")
    assert {record["significant"] for record in effect.records} == {False}


def test_a_combination_that_never_finishes_has_no_rate_and_is_named():
    def status(activation, initialisation, normalisation, _):
        lost = (activation, initialisation, normalisation) == ("CReLU", "he", "none")
        return "diverged" if lost else "finished"

    document = report_activations(sweep_of(runs(batch_helps, status=status)))
    assert document.verdict[-1].text == "No usable learning rate: CReLU, he, none."
    main = document.tables[0]
    assert main.cells[0][main.headings.index("he, none")] == "none"


def test_where_nothing_finishes_there_is_no_choice():
    document = report_activations(sweep_of(runs(batch_helps, status=lambda *_: "diverged")))
    assert [sentence.text for sentence in document.verdict] == [
        "No combination has a usable learning rate."
    ]


def test_one_level_of_each_factor_has_no_effects_and_still_a_table():
    rows = [
        run_row
        for run_row in runs(batch_helps)
        if (run_row["model.initialisation"], run_row["model.normalisation"]) == ("he", "batch")
    ]
    all_effects, _ = combinations(sweep_of(rows))
    assert effects(all_effects) == []
    assert len(against(all_effects[0], all_effects)) == 1
    assert len(report_activations(sweep_of(rows)).tables[0].records) == 2


def test_runs_of_a_model_without_these_factors_are_refused():
    with pytest.raises(InputError, match="there are runs without model"):
        combinations(sweep_of([row(0.1)]))
