"""Which runs a law makes equal, to the last bit or nearly, and how far it moves learning rates."""

from __future__ import annotations

import math

import pytest
import torch

from cvtrain.analysis import exact_pairs as relabelling
from cvtrain.analysis.compare import compare
from cvtrain.analysis.exact_pairs import predicted_shift, without_factor
from cvtrain.analysis.load import flattened
from tests.analysis.synthetic import HALVED, UNCONJUGATED, WIRTINGER, configuration, row, sweep_of

RATES = (0.125, 0.25, 0.5)


def runs(**config):
    return [row(0.1 + rate, optimizer__lr=rate, **config) for rate in RATES]


def test_pairs_are_exact_where_the_factor_is_a_power_of_two(monkeypatch):
    third = 1 / 3
    rows = runs()
    for scale in (0.5, 0.25, third):
        made = runs(objective__scale=scale)
        rows += [one | {"optimizer.lr": one["optimizer.lr"] / scale} for one in made]
    monkeypatch.setattr(relabelling, "last_weights", lambda _: {"w": torch.ones(2)})
    (group,) = compare(sweep_of(rows)).groups
    exact = {arm.name: {pair.exact for pair in arm.pairs} for arm in group.arms}
    assert exact["scale ½, pytorch"] == exact["scale ¼, pytorch"] == {True}
    assert exact["scale 0.333333, pytorch"] == {False}


CLIPPED = {"clip": {"kind": "norm", "threshold": 1.0, "eps": 1e-6}}


@pytest.mark.parametrize(
    ("changed", "mixed", "lawful"),
    [
        (HALVED, True, True),
        (HALVED, False, True),
        (WIRTINGER, True, False),
        (WIRTINGER, False, True),
        (HALVED | WIRTINGER, True, False),
    ],
)
def test_no_law_holds_where_one_norm_clips_gradients_of_two_factors(changed, mixed, lawful):
    config = dict(flattened(configuration(**CLIPPED, **changed)))
    assert (without_factor(config, mixed) is not None) == lawful
    assert without_factor(config | {"clip.kind": "split"}, mixed) is not None


@pytest.mark.parametrize(
    ("optimizer", "octaves"), [("SGD", 1), ("Adadelta", 1), ("ASGD", 1), ("Adam", 0), ("Rprop", 0)]
)
def test_the_law_moves_the_best_rate_up_by_as_many_octaves_as_the_gradient_is_halved(
    optimizer, octaves
):
    def shift(mixed, **changed):
        of = {"optimizer___target_": f"torch.optim.{optimizer}"}
        return predicted_shift(dict(flattened(configuration(**of, **changed))), mixed)

    assert shift(False) == shift(True) == 0
    assert shift(True, **HALVED) == shift(False, **WIRTINGER) == octaves
    assert shift(False, **HALVED, **WIRTINGER) == 2 * octaves
    assert shift(False, objective__scale=4.0) == -2 * octaves
    assert math.isnan(shift(True, **WIRTINGER))


def test_a_step_along_the_conjugate_gradient_is_no_relabelling():
    conjugate = dict(flattened(configuration(**UNCONJUGATED)))
    assert without_factor(conjugate, mixed=False) is None
    assert without_factor(conjugate | {"objective.scale": 0.5}, mixed=False) is None
    assert without_factor(conjugate | {"convention.conjugate": False}, mixed=False) is not None
