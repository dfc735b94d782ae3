"""Schedules: their curves, their limits, and bits that follow the learning rate's."""

import math
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cvtrain.config.sections import ConstantConfig, CosineConfig, DecayConfig, WarmupConfig
from cvtrain.training.schedule import learning_rate_factor, schedule, stack_schedules

CASES = [
    ("constant", {}),
    ("warmup", {"steps": 7}),
    ("cosine", {}),
    ("cosine", {"warmup_steps": 10, "final_factor": 0.1}),
    ("cosine", {"warmup_steps": 500}),
    ("step", {"every": 7, "factor": 0.3}),
    ("exponential", {"every": 7, "factor": 0.3}),
    ("step", {"every": 1, "factor": 0.0}),
]
RISING = ("exponential", {"every": 1, "factor": 1e9})


@pytest.mark.parametrize(("kind", "fields"), [*CASES, RISING])
def test_factors_are_finite_and_not_negative(kind, fields):
    factor = schedule(kind, 100, **fields)
    assert all(0 <= factor(t) < math.inf for t in range(300))


@given(st.sampled_from(CASES), st.integers(0, 120), st.floats(1e-6, 10.0), st.integers(-5, 5))
def test_a_learning_rate_times_a_power_of_two_stays_so(case, t, lr, octave):
    kind, fields = case
    factor = schedule(kind, 100, **fields)(t)
    assert (lr * 2.0**octave) * factor == (lr * factor) * 2.0**octave


def test_warmup_rises_linearly_to_one():
    factor = schedule("warmup", 100, steps=4)
    assert [factor(t) for t in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_cosine_falls_from_one_to_the_final_factor():
    factor = schedule("cosine", 100, final_factor=0.2)
    assert (factor(0), factor(100), factor(150)) == (1.0, 0.2, 0.2)
    assert factor(50) == pytest.approx(0.6)
    assert all(factor(t) > factor(t + 1) for t in range(100))


def test_cosine_equals_torchs():
    parameter = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    annealing = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=0.1)
    factor = schedule("cosine", 50, final_factor=0.1)
    for t in range(51):
        assert factor(t) == pytest.approx(annealing.get_last_lr()[0], rel=1e-12)
        optimizer.step()
        annealing.step()


def test_cosine_starts_after_its_warmup():
    factor = schedule("cosine", 100, warmup_steps=10)
    assert (factor(0), factor(9), factor(10)) == (0.1, 1.0, 1.0)
    assert factor(11) < 1
    assert factor(55) == pytest.approx(0.5)


def test_step_and_exponential_meet_at_whole_periods():
    steps = schedule("step", 100, every=10, factor=0.5)
    decay = schedule("exponential", 100, every=10, factor=0.5)
    assert [steps(t) for t in (0, 9, 10, 19, 20)] == [1.0, 1.0, 0.5, 0.5, 0.25]
    assert all(steps(t) == decay(t) for t in range(0, 100, 10))
    assert decay(5) == pytest.approx(math.sqrt(0.5))


def test_a_rising_rate_stops_at_the_largest_number():
    kind, fields = RISING
    assert schedule(kind, 100, **fields)(299) == sys.float_info.max


def test_a_stack_has_the_bits_of_its_schedules():
    members = [schedule(kind, 100, **fields) for kind, fields in CASES]
    factors = stack_schedules(members)
    for t in range(120):
        assert factors(t).dtype == torch.float64
        assert factors(t).tolist() == [member(t) for member in members]


@pytest.mark.parametrize(
    ("config", "kind", "fields"),
    [
        (WarmupConfig(kind="warmup", steps=3), "warmup", {"steps": 3}),
        (CosineConfig(kind="cosine", warmup_steps=2), "cosine", {"warmup_steps": 2}),
        (
            DecayConfig(kind="step", every=3, factor=0.5),
            "step",
            {"every": 3, "factor": 0.5},
        ),
    ],
)
def test_a_checked_section_gives_its_schedule(config, kind, fields):
    assert learning_rate_factor(config, 50) == schedule(kind, 50, **fields)


def test_a_constant_section_needs_no_schedule():
    assert learning_rate_factor(ConstantConfig(kind="constant"), 50) is None


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("linear", {}),
        ("warmup", {"steps": 0}),
        ("cosine", {"final_factor": -0.1}),
        ("cosine", {"final_factor": math.nan}),
        ("step", {"every": 0, "factor": 0.5}),
        ("exponential", {"every": 2, "factor": math.inf}),
    ],
)
def test_a_bad_field_is_refused(kind, fields):
    with pytest.raises(ValueError):
        schedule(kind, 100, **fields)
