"""Captions of experiments' figures: computed from the runs, so that other runs have other ones."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import numpy as np
import pytest

from cvtrain import experiments
from cvtrain.analysis.difference import SEEDS_NEEDED
from cvtrain.config.sections import ReportConfig
from cvtrain.experiments import lms, stability
from cvtrain.experiments.activations import report_activations
from cvtrain.experiments.adam_eps import report_adam_eps
from cvtrain.experiments.complex_vs_real import report_complex_vs_real
from cvtrain.experiments.linear_problem import LinearProblem
from cvtrain.experiments.linear_runs import LinearRun
from cvtrain.experiments.lr_transfer import report_transfer
from cvtrain.experiments.retuned import report_retuned
from cvtrain.experiments.search import report_search
from cvtrain.experiments.split_vs_modulus import report_semantics
from tests.analysis.synthetic import row, sweep_of
from tests.experiments import test_adam_eps, test_retuned
from tests.experiments.test_lr_transfer import swept

pytestmark = pytest.mark.usefixtures("blank_figures")

SEEDS = range(ReportConfig().tuning_seeds + SEEDS_NEEDED)
RATES = (0.125, 0.25, 0.5)


def compared(gain, best, **sides):
    """A sweep of two kinds of runs, of which the second is better by `gain`, at the rate `best`."""
    ((key, values),) = sides.items()
    return sweep_of(
        [
            row(
                0.2 + abs(rate - best) - gain * side,
                0.8 + gain * side + 0.001 * (seed * (side + 1) % 5),
                seed=seed,
                variant="digits",
                optimizer__lr=rate,
                **({key: value} if "__" in key else {}),
            )
            | ({} if "__" in key else value)
            for side, value in enumerate(values)
            for rate in RATES
            for seed in SEEDS
        ]
    )


def twins(gain, best):
    sizes = ({"parameters.complex": 0, "parameters.real": 8},)
    sizes += ({"parameters.complex": 4, "parameters.real": 0},)
    return report_complex_vs_real(compared(gain, best, sizes=sizes))


def semantics(gain, best):
    return report_semantics(compared(gain, best, optimizer__semantics=("split", "modulus")))


def activations(gain, best):
    return report_activations(
        sweep_of(
            [
                row(
                    0.2 + abs(rate - best) - gain * (name == "cardioid"),
                    0.8,
                    seed=seed,
                    optimizer__lr=rate,
                    model__activation=name,
                    model__initialisation=initialisation,
                    model__normalisation="none",
                )
                for name in ("CReLU", "cardioid")
                for initialisation in ("glorot", "he")
                for rate in RATES
                for seed in SEEDS
            ]
        )
    )


def search(gain, best):
    return report_search(
        sweep_of([row(0.2 + abs(lr - best) - gain, 0.8, seed=0, optimizer__lr=lr) for lr in RATES])
    )


def limits(gain, best, monkeypatch):
    problem = LinearProblem(np.eye(1), np.zeros((1, 1)), np.ones(1), 1.0)
    run = LinearRun(problem, 1.0, np.arange(2), np.ones(2), np.ones((2, 1)))
    names = ("gradient descent", "scale 1, pytorch", best)
    made = [
        stability.Trial(*names, share, outcome, 2, abs(gain), run)
        for share, outcome in (
            (0.5, "converged"),
            (0.9, "converged" if gain > 0 else "diverged"),
            (1.5, "diverged"),
        )
    ]
    monkeypatch.setattr(stability, "trials", lambda _: made)
    return stability.report_stability(sweep_of([row(0.1, 0.9)]))


def misadjustments(gain, best, monkeypatch):
    line = np.ones(2)
    made = [
        lms.Setting("linear", 0.0, rate, rate, 9, np.arange(2), *[line] * 3, gain, 0.01, best, 0.1)
        for rate in RATES
    ]
    monkeypatch.setattr(lms, "settings", lambda _: made)
    return lms.report_lms(sweep_of([row(0.1, 0.9)]))


def widths(gain, best):
    return report_transfer(swept(slopes={"standard": -best, "mup_sgd": gain}))


def epsilons(gain, best, tmp_path):
    folder = tmp_path / str(best)
    folder.mkdir()
    return report_adam_eps(test_adam_eps.swept(folder, error=gain))


def kept_settings(gain, best):
    return report_retuned(test_retuned.swept({"SGD": (best, 1.0), "SGD, decay": (gain, 1.3)}))


TRACED = ("paths", "phases")
"""Pictures of traced entries: left blank they are drawn though these runs traced nothing."""
REPORTS = {
    "activations": activations,
    "adam_eps": epsilons,
    "complex_vs_real": twins,
    "lms": misadjustments,
    "lr_transfer": widths,
    "retuned": kept_settings,
    "search": search,
    "split_vs_modulus": semantics,
    "stability": limits,
}


def test_every_experiment_that_draws_is_here():
    names = [module.name for module in pkgutil.iter_modules(experiments.__path__)]
    modules = {name: import_module(f"{experiments.__name__}.{name}") for name in names}
    # lr_factor's figure is in any report with the signal: tests/analysis/test_predicted_factor.py.
    draws = {"Picture", "comparison_picture"}
    drawing = [name for name, module in modules.items() if draws & vars(module).keys()]
    assert drawing == sorted(REPORTS)


@pytest.mark.parametrize("name", REPORTS)
def test_captions_and_conclusions_change_with_the_data(name, monkeypatch, tmp_path):
    more = {"stability": (monkeypatch,), "lms": (monkeypatch,), "adam_eps": (tmp_path,)}
    more = more.get(name, ())
    one, other = (REPORTS[name](*data, *more) for data in ((0.05, 0.25), (-0.1, 0.5)))
    others = {picture.name: picture.caption for picture in other.pictures}
    assert others
    for picture in one.pictures:
        if picture.name in TRACED:
            continue
        assert picture.caption != others[picture.name]
        assert picture.caption.endswith(".")
    assert [str(sentence) for sentence in one.verdict] != [
        str(other_sentence) for other_sentence in other.verdict
    ]
