"""Numbers of configurations side by side: each member has its own, and none those of another."""

from __future__ import annotations

import pytest
import torch

from cvtrain.gradients.clipping import ModulusClip, NoClip, NormClip, SplitClip
from cvtrain.training.stacking import (
    along_stack,
    stack_numbers,
    stack_optimizer,
    stack_schedule,
)
from tests.training.trained_runs import configured

SMALL = ("model.hidden=[4]",)


def configs(*members: str, common: tuple[str, ...] = ()):
    return [configured(*SMALL, *common, *member.split()) for member in members]


def test_a_number_that_all_share_stays_a_number_and_others_are_one_for_each():
    assert along_stack([0.5, 0.5, 0.5]) == 0.5
    for numbers in ([0.5, 0.25], [1.0, 1.0, 2.0], [2.0, 1.0, 1.0]):
        stacked = along_stack(numbers)
        assert isinstance(stacked, torch.Tensor)
        assert (stacked.tolist(), stacked.dtype) == (numbers, torch.float64)


def test_scales_conventions_and_decays_are_each_members_own():
    chosen = configs(
        "objective.scale=0.5 convention=wirtinger ema.decay=0.5",
        "objective.scale=2 convention=unconjugated ema.decay=0.9",
    )
    numbers = stack_numbers(chosen)
    assert numbers.scale.tolist() == [0.5, 2.0]
    assert numbers.decay.tolist() == [0.5, 0.9]
    convention = numbers.convention
    assert convention.scale.tolist() == [0.5, 1.0]
    assert convention.conjugate.tolist() == [False, True]
    assert stack_numbers(chosen[:1]).convention.conjugate is False


def test_thresholds_and_eps_of_clipping_are_each_members_own():
    members = "clip.threshold=1 clip.eps=0.5", "clip.threshold=2 clip.eps=0.25"
    norm = stack_numbers(configs(*members, common=("clip=norm",))).clip
    assert isinstance(norm, NormClip)
    assert (norm.threshold.tolist(), norm.eps.tolist()) == ([1.0, 2.0], [0.5, 0.25])
    for kind, made in (("modulus", ModulusClip), ("split", SplitClip)):
        members = configs("clip.threshold=1", "clip.threshold=3", common=(f"clip={kind}",))
        entry = stack_numbers(members).clip
        assert isinstance(entry, made)
        assert entry.threshold.tolist() == [1.0, 3.0]
    assert isinstance(stack_numbers(configs("seed=0", "seed=1")).clip, NoClip)


def test_a_member_without_a_schedule_keeps_its_rate_beside_one_with_it():
    factors = stack_schedule(
        configs("scheduler=constant", "scheduler=step scheduler.every=10 scheduler.factor=0.5")
    )
    assert [factors(t).tolist() for t in (0, 9, 10, 25)] == [[1, 1], [1, 1], [1, 0.5], [1, 0.25]]
    assert stack_schedule(configs("seed=0", "seed=1")) is None


@pytest.mark.parametrize("mixed", [False, True])
def test_hyperparameters_of_the_rule_are_each_members_own(mixed):
    own = "optimizer.real_parameters.lr=0.5" if mixed else ""
    chosen = configs(
        f"optimizer.lr=0.1 optimizer.betas=[0.8,0.9] {own}",
        "optimizer.lr=0.2 optimizer.betas=[0.8,0.99]",
        common=("optimizer=adam",),
    )
    parameters = [
        torch.nn.Parameter(torch.zeros(2, 3, dtype=dtype))
        for dtype in (torch.complex64, torch.float32)
    ]
    groups = stack_optimizer(chosen, parameters).param_groups
    assert groups[0]["lr"].tolist() == [0.1, 0.2]
    assert groups[0]["betas"][0] == 0.8
    assert groups[0]["betas"][1].tolist() == [0.9, 0.99]
    assert len(groups) == 1 + mixed
    if mixed:
        assert groups[1]["lr"].tolist() == [0.5, 0.2]
        assert [p.is_complex() for group in groups for p in group["params"]] == [True, False]
