"""Interactions of the factor 2 from the command: what laws make equal is, and what they do not."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace

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

SMALL = ("seed=0,1", "max_steps=40", "model.hidden=[8]", "signals.scalars_every=20")


# `scripts/reproduce --quick` trains the others too, and holds them against the same claims.
QUICK = ("clipping", "mixed")
INTERACTIONS = (*QUICK, "epsilon", "precision", "schedules", "weight_decay")


@pytest.fixture(
    scope="module",
    params=[
        name if name in QUICK else pytest.param(name, marks=pytest.mark.long)
        for name in INTERACTIONS
    ],
)
def experiment(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param) / "sweep"
    status = main([f"+experiment={request.param}", *SMALL, f"hydra.sweep.dir={directory}"])
    return request.param, status, directory


def test_what_theory_says_holds_in_every_setting(experiment):
    name, status, directory = experiment
    assert status == 0
    found = findings(load(directory), name)
    assert len(found) == sum(len(setting.arms) for setting in interaction(name))
    for finding in found:
        lawful = finding.arm.equal
        assert finding.equal if lawful else lawful is None or all(finding.apart), finding
    ruled = [finding for finding in found if finding.arm.equal]
    assert describe(name, found)[0].startswith(f"{name}: rescaled as the law says, {len(ruled)} of")


def test_one_bit_breaks_the_claim(experiment, tmp_path):
    name, _, directory = experiment
    shutil.copytree(directory, tmp_path / "sweep")
    ruled = next(f for f in findings(load(directory), name) if f.arm.equal)
    runs = load(tmp_path / "sweep").runs
    label = f"{name}; {ruled.setting.name}; {ruled.arm.name}"
    chosen = tmp_path / "sweep" / runs[runs["variant"] == label]["directory"].iloc[0]
    state, step = load_checkpoint(chosen / "checkpoints" / "last.ckpt")
    first = next(name for name, tensor in state.items() if tensor.is_complex())
    parts = torch.view_as_real(state[first].clone()).reshape(-1)
    parts[0] = torch.nextafter(parts[0], torch.tensor(torch.inf, dtype=parts.dtype))
    state[first] = torch.view_as_complex(parts.reshape(*state[first].shape, 2))
    save_checkpoint(chosen, "last", state, step)
    broken = report_interaction(load(tmp_path / "sweep")).failure()
    assert broken is not None
    assert broken.startswith(f"1 claims do not hold: {ruled.setting.name}, {ruled.arm.name}")


def test_a_run_that_diverged_breaks_its_claim(experiment, tmp_path):
    name, _, directory = experiment
    shutil.copytree(directory, tmp_path / "sweep")
    ruled = next(f for f in findings(load(directory), name) if f.arm.equal)
    runs = load(tmp_path / "sweep").runs
    label = f"{name}; {ruled.setting.name}; {ruled.arm.name}"
    record = tmp_path / "sweep" / runs[runs["variant"] == label]["directory"].iloc[0] / "run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"status": "diverged"}))
    assert ruled.arm.name in (report_interaction(load(tmp_path / "sweep")).failure() or "")


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
    found = Finding(setting, arm, apart, outcome, diverged=0, missing=missing)
    assert found.as_predicted == holds
