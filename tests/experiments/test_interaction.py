"""Interactions of the factor 2 from the command: what laws make equal is, and what they do not."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from functools import cache

import pytest
import torch

from cvtrain.analysis.difference import Difference
from cvtrain.analysis.load import load
from cvtrain.cli.train import main
from cvtrain.experiments.interaction import (
    Finding,
    describe,
    findings,
    interaction,
    report_interaction,
)
from cvtrain.runs.checkpoint import load_checkpoint, save_checkpoint

pytestmark = pytest.mark.usefixtures("blank_figures")

SMALL = ("seed=0,1", "max_steps=20", "model.hidden=[8]", "signals.scalars_every=20")


# `scripts/cvtrain reproduce --quick` trains the others too and checks the same claims.
QUICK = ("clipping", "mixed")
INTERACTIONS = (*QUICK, "epsilon", "precision", "schedules", "weight_decay")


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """`swept(name)` trains a small form of an interaction once: its exit status and directory."""

    @cache
    def sweep(name):
        directory = tmp_path_factory.mktemp(name) / "sweep"
        return main([f"+experiment={name}", *SMALL, f"hydra.sweep.dir={directory}"]), directory

    return sweep


@pytest.fixture
def lawful(swept, tmp_path):
    """A copy of the sweep `clipping`, an arm that a law makes equal, and a run of that arm."""
    directory = shutil.copytree(swept("clipping")[1], tmp_path / "sweep")
    runs = load(directory).runs
    setting = interaction("clipping")[0]
    arm = next(arm for arm in setting.arms if arm.equal)
    run = runs[runs["variant"] == f"clipping; {setting.name}; {arm.name}"]["directory"].iloc[0]
    return directory, f"{setting.name}, {arm.name}", directory / run


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.long)
        for name in INTERACTIONS
    ],
)
def test_what_theory_says_holds_in_every_setting(swept, name):
    status, directory = swept(name)
    assert status == 0
    results = findings(load(directory), name)
    assert len(results) == sum(len(setting.arms) for setting in interaction(name))
    for one in results:
        lawful = one.arm.equal
        assert one.equal if lawful else lawful is None or all(one.apart), one
    ruled = [one for one in results if one.arm.equal]
    first = describe(name, results)[0]
    assert first.startswith(f"{name}: rescaled as the law says, {len(ruled)} of")


def test_one_bit_breaks_the_claim(lawful):
    directory, claim, run = lawful
    state, step = load_checkpoint(run / "checkpoints" / "last.ckpt")
    first = next(name for name, tensor in state.items() if tensor.is_complex())
    parts = torch.view_as_real(state[first].clone()).reshape(-1)
    parts[0] = torch.nextafter(parts[0], torch.tensor(torch.inf, dtype=parts.dtype))
    state[first] = torch.view_as_complex(parts.reshape(*state[first].shape, 2))
    save_checkpoint(run, "last", state, step)
    broken = report_interaction(load(directory)).failure()
    assert broken == f"1 claims do not hold: {claim}"


def test_a_run_that_diverged_breaks_its_claim(lawful):
    directory, claim, run = lawful
    record = run / "run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"status": "diverged"}))
    assert claim in (report_interaction(load(directory)).failure() or "")


@pytest.mark.parametrize(
    ("equal", "apart", "missing", "holds"),
    [
        (True, (0.0, 0.0), 0, True),
        (True, (0.0, 1e-16), 0, False),
        (True, (0.0, 0.0), 1, False),
        (True, (), 2, False),
        (False, (1e-3, 1e-9), 0, True),
        (False, (1e-3, 0.0), 0, False),
        (False, (), 2, False),
        (None, (0.0, 1.0), 0, True),
    ],
)
def test_a_claim_holds_where_every_pair_is_as_theory_says(equal, apart, missing, holds):
    setting = interaction("clipping")[0]
    arm = replace(setting.arms[0], equal=equal)
    outcome = Difference(math.nan, math.nan, math.nan, 0, identical=False)
    finding = Finding(setting, arm, apart, outcome, diverged=0, missing=missing)
    assert finding.as_predicted == holds
