"""The experiments `stability` and `lms` from the command, and what breaks their claims."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from cvtrain import theory
from cvtrain.analysis.load import load
from cvtrain.cli.train import main
from cvtrain.experiments.linear_problem import LinearProblem
from cvtrain.experiments.lms import allowed_errors, report_lms, settings
from cvtrain.experiments.stability import report_stability, trials

# scripts/cvtrain reproduce, which every change must pass too, holds the same claims.
pytestmark = pytest.mark.long

REPLICATES = 24


@pytest.fixture(scope="module")
def stability(tmp_path_factory):
    directory = tmp_path_factory.mktemp("stability") / "sweep"
    return main(["+experiment=stability", f"hydra.sweep.dir={directory}"]), directory


@pytest.fixture(scope="module")
def lms(tmp_path_factory):
    directory = tmp_path_factory.mktemp("lms") / "sweep"
    axes = (f"seed=range(0,{REPLICATES})", "max_steps=900", "data.samples=20000", "lr_octave=-2")
    return main(["+experiment=lms", *axes, f"hydra.sweep.dir={directory}"]), directory


def test_every_limit_parts_convergence_from_divergence(stability):
    status, directory = stability
    assert status == 0
    all_trials = trials(load(directory))
    assert len(all_trials) == 36
    assert {(t.share < 1, t.outcome) for t in all_trials} == {
        (True, "converged"),
        (False, "diverged"),
    }
    assert {round(t.share, 4) for t in all_trials} == {0.5, 0.995, 1.005}
    limits = {(t.rule, t.arm): t.limit for t in all_trials}
    for rule in ("gradient descent", "heavy ball", "Nesterov"):
        plain = limits[rule, "scale 1, pytorch"]
        assert limits[rule, "scale 1, wirtinger"] == 2 * plain
        assert limits[rule, "scale ½, wirtinger"] == 4 * plain
    for suffix in (".svg", ".png"):
        assert (directory / "report" / f"stability{suffix}").stat().st_size > 10_000


def test_losses_of_gradient_descent_lie_on_the_closed_form(stability):
    deviations = [t.deviation for t in trials(load(stability[1])) if t.deviation == t.deviation]
    assert len(deviations) == 8
    assert max(deviations) < 1e-10


def test_a_run_on_the_wrong_side_of_its_limit_breaks_the_claim(stability, tmp_path):
    shutil.copytree(stability[1], tmp_path / "sweep")
    chosen = next((tmp_path / "sweep").glob("*0.995*/run.json".replace("0.995", "-0.0072")))
    record = json.loads(chosen.read_text())
    chosen.write_text(json.dumps(record | {"status": "diverged"}))
    assert "1 claims do not hold" in (report_stability(load(tmp_path / "sweep")).failure() or "")


def test_a_loss_off_the_closed_form_breaks_the_claim(stability, tmp_path):
    shutil.copytree(stability[1], tmp_path / "sweep")
    chosen = next((tmp_path / "sweep").glob("*lr_octave=-1,variant=gradient*/metrics.csv"))
    rows = pd.read_csv(chosen, dtype=str)
    rows.loc[5, "train/loss"] = repr(float(rows.loc[5, "train/loss"]) * (1 + 1e-9))
    rows.to_csv(chosen, index=False)
    assert "gradient descent" in (report_stability(load(tmp_path / "sweep")).failure() or "")


def test_misadjustments_are_those_of_theory(lms):
    status, directory = lms
    assert status == 0
    all_settings = settings(load(directory))
    assert len(all_settings) == 4
    for setting in all_settings:
        assert setting.replicates == REPLICATES
        assert abs(setting.errors_off) < allowed_errors(len(all_settings))
        # The first points of the curve are exact: every run begins at zero.
        assert setting.measured[0] == pytest.approx(setting.predicted[0], rel=1e-9)
        middle = slice(1, 10)
        off = np.abs(setting.measured - setting.predicted)[middle]
        assert (off < 5 * setting.error[middle]).all()


def test_replicates_that_follow_another_law_break_the_claim(lms, monkeypatch):
    true = LinearProblem.of

    def louder(dataset, *, widely_linear):
        problem = true(dataset, widely_linear=widely_linear)
        return LinearProblem(
            problem.covariance, problem.pseudo_covariance, problem.optimum, 2 * problem.least
        )

    from cvtrain.experiments import linear_problem

    linear_problem._linear_problem.cache_clear()
    monkeypatch.setattr(LinearProblem, "of", louder)
    try:
        broken = report_lms(load(lms[1])).failure()
    finally:
        linear_problem._linear_problem.cache_clear()
    assert broken is not None
    assert "errors" in broken


def test_the_bound_on_errors_counts_the_comparisons():
    assert allowed_errors(1) == pytest.approx(1.96, abs=0.01)
    assert allowed_errors(8) > allowed_errors(4) > allowed_errors(1)


def test_twice_the_rate_with_half_the_gradient_is_the_same_prediction():
    r = np.diag([0.5, 1.5])
    textbook = theory.lms_misadjustment(r, lr=0.1, gradient_factor=0.5)
    assert textbook == theory.lms_misadjustment(r, lr=0.05)
