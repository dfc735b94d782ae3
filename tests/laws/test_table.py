"""The table of laws: what it does to hyperparameters, and what it refuses."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cvtrain.config.compose import configuration_folder
from cvtrain.gradients.clipping import NormClip
from cvtrain.laws import LAWS, exponents, law_of, rescaled_hyperparameters
from cvtrain.laws.law_cases import LAW_CASES
from cvtrain.laws.table import (
    CLASSES,
    CLIP_EXPONENTS,
    class_name,
    complete,
    defaults,
    optimizer_class,
)
from cvtrain.process.errors import InputError

FACTORS = st.integers(-8, 8).map(lambda k: 2.0**k)


def test_every_file_of_conf_optimizer_has_its_law():
    folder = Path(configuration_folder(), "optimizer")
    files = sorted(path for path in folder.glob("*.yaml") if path.stem != "custom")
    assert {path.stem for path in files} == set(CLASSES)
    for path in files:
        target = yaml.safe_load(path.read_text())["_target_"]
        assert class_name(path.stem) == target.rsplit(".", 1)[-1]


def test_every_law_is_demonstrated():
    shown = {class_name(case.optimizer) for case in LAW_CASES}
    assert shown == {name for name, law in LAWS.items() if law.obstacle is None}
    moved = {
        (class_name(case.optimizer), name)
        for case in LAW_CASES
        for name in exponents(case.optimizer, case.values)
        if (defaults(case.optimizer) | case.values)[name] != 0
    }
    assert moved >= {
        (name, h) for name, law in LAWS.items() if not law.obstacle for h in law.exponents
    }


@pytest.mark.parametrize("optimizer", CLASSES)
@settings(deadline=None, max_examples=20)  # the first call makes an optimizer, which may import
@given(c=FACTORS, d=FACTORS)
def test_factors_add_up_and_undo_each_other(optimizer, c, d):
    once = rescaled_hyperparameters(optimizer, rescaled_hyperparameters(optimizer, {}, c), d)
    assert once == rescaled_hyperparameters(optimizer, {}, c * d)
    assert rescaled_hyperparameters(
        optimizer, rescaled_hyperparameters(optimizer, {}, c), 1 / c
    ) == defaults(optimizer)


def test_the_documented_maps():
    adam = rescaled_hyperparameters("adam", {"eps": 1e-4, "weight_decay": 0.5}, 0.5)
    assert (adam["lr"], adam["eps"], adam["weight_decay"]) == (1e-3, 5e-5, 0.25)
    decoupled = rescaled_hyperparameters(
        "adam", {"weight_decay": 0.5, "decoupled_weight_decay": True}, 0.5
    )
    assert decoupled["weight_decay"] == 0.5
    assert rescaled_hyperparameters("sgd", {"lr": 0.1}, 0.5)["lr"] == 0.2
    assert rescaled_hyperparameters("adadelta", {"eps": 1e-6}, 0.5)["eps"] == 1e-6 / 4
    assert rescaled_hyperparameters("lion", {}, 0.5) == defaults("lion")
    assert law_of("radam").obstacle is not None


@pytest.mark.parametrize("c", [0.0, -1.0, math.nan, math.inf])
def test_a_factor_is_above_0(c):
    with pytest.raises(InputError, match=f"c={c}: should be a finite number above 0"):
        rescaled_hyperparameters("sgd", {}, c)


def test_an_optimizer_without_a_law_is_refused():
    with pytest.raises(InputError, match="optimizer=shampoo: should be one with a known law"):
        law_of("shampoo")


def test_a_hyperparameter_that_the_optimizer_does_not_have_is_refused():
    with pytest.raises(InputError, match="momentum: not a hyperparameter of adam; it takes lr"):
        rescaled_hyperparameters("adam", {"momentum": 0.9}, 2.0)


def test_a_hyperparameter_out_of_range_is_refused():
    with pytest.raises(InputError, match="sgd: lr=-1"):
        complete("sgd", {"lr": -1.0})


TELLING = {
    "lr": 0.0625,
    "weight_decay": 0.25,
    "eps": 0.0625,
    "initial_accumulator_value": 0.5,
    "lambd": 0.5,
    "t0": 2.0,
}
"""Values at which every hyperparameter that a law moves matters."""


def telling_values(case):
    """The choices of a case of the laws, with numbers that tell exponents apart."""
    own = defaults(case.optimizer)
    choices = {name: value for name, value in case.values.items() if name not in TELLING}
    return complete(case.optimizer, {n: v for n, v in TELLING.items() if n in own} | choices)


RULES = {
    (case.optimizer, repr(telling_values(case))): pytest.param(case, id=case.name)
    for case in LAW_CASES
    if law_of(case.optimizer).entrywise and case.clip_kind is None
}


def after_steps(optimizer, values, c, dtype):
    """Weights after 20 steps on gradients times c."""
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(4, 3, dtype=dtype, generator=generator).requires_grad_()
    made = optimizer_class(optimizer)([w], **values)
    for _ in range(20):
        target = torch.randn(4, 3, dtype=dtype, generator=generator)
        w.grad = c * (w.detach() - target)
        made.step()
    return w.detach()


@pytest.mark.parametrize(("c", "dtype"), [(0.5, torch.complex64), (4.0, torch.complex128)])
@pytest.mark.parametrize("case", RULES.values())
def test_the_map_of_a_law_gives_the_same_bits_and_no_other_exponent_does(case, c, dtype):
    optimizer, values = case.optimizer, telling_values(case)
    reference = after_steps(optimizer, values, 1.0, dtype)
    assert reference.isfinite().all()
    rescaled = rescaled_hyperparameters(optimizer, values, c)
    assert torch.equal(after_steps(optimizer, rescaled, c, dtype), reference)
    powers = exponents(optimizer, values)
    for name in {*TELLING} & values.keys() - {"t0"}:
        if optimizer == "muon" and name == "eps":  # it matters for gradients that are all but zero
            continue
        for other in (powers.get(name, 0) - 1, powers.get(name, 0) + 1):
            moved = rescaled | {name: values[name] * c**other}
            weights = after_steps(optimizer, moved, c, dtype)
            assert not torch.equal(weights, reference), (name, other)


def test_the_tolerance_of_lbfgs_is_of_the_gradient():
    """An ill-conditioned quadratic whose steps end at the tolerance, and nowhere else."""
    curvature = torch.logspace(0, 4, 8, dtype=torch.float64)

    def trained(values, c):
        w = torch.ones(8, dtype=torch.complex128, requires_grad=True)
        made = torch.optim.LBFGS([w], **values)
        evaluations = 0

        def closure():
            nonlocal evaluations
            evaluations += 1
            made.zero_grad()
            loss = c * (curvature * w.abs().square()).sum()
            torch.autograd.backward(loss)
            return loss

        made.step(closure)
        return w.detach(), evaluations

    chosen = {"max_iter": 200, "lr": 0.5, "tolerance_grad": 0.25, "tolerance_change": 0.0}
    values = complete("lbfgs", chosen)
    weights, steps = trained(values, 1.0)
    assert 2 < steps < 200
    moved = rescaled_hyperparameters("lbfgs", values, 0.25)
    assert moved["tolerance_grad"] == 0.0625
    assert torch.equal(trained(moved, 0.25)[0], weights)
    assert trained(moved | {"tolerance_grad": 0.25}, 0.25)[1] < steps


@pytest.mark.parametrize("c", [0.5, 4.0])
def test_a_clipped_norm_scales_with_its_threshold_and_its_eps(c):
    generator = torch.Generator().manual_seed(0)
    g = {"w": torch.randn(1, 5, dtype=torch.complex128, generator=generator)}
    numbers = {"threshold": 0.5, "eps": 0.25}
    scaled = {name: value * c ** CLIP_EXPONENTS[name] for name, value in numbers.items()}
    clipped, _ = NormClip(**numbers).clip(g)
    of_scaled, _ = NormClip(**scaled).clip({"w": c * g["w"]})
    assert torch.equal(of_scaled["w"], c * clipped["w"])
