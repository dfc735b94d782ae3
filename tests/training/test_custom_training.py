"""Optimizers, schedules and callbacks of a user's own, from a package outside of the repository."""

from __future__ import annotations

import json
import sys

import pytest
import torch

from cvtrain.cli.train import main
from cvtrain.config.sections import CustomScheduleConfig, WarmupConfig
from cvtrain.process.errors import InputError
from cvtrain.runs.run_json import read_record
from cvtrain.training.lightning_trainer import check_trainer, configured_callbacks
from cvtrain.training.preflight import check_numbers
from cvtrain.training.schedule import learning_rate_factor
from cvtrain.training.stacking import refusal
from tests.training.trained_runs import configured, equal, stacked, trained

PACKAGE = """
import math
import torch
from lightning.pytorch import Callback
from torch.optim.lr_scheduler import LRScheduler
from cvtrain.optim import SGD


class Descent(torch.optim.Optimizer):
    def __init__(self, params, lr, how: str = "", drag: float = 0.0):
        super().__init__(params, {"lr": lr, "drag": drag})
        self.how = how

    def step(self, closure=None):
        if self.how == "deaf":
            return None
        loss = closure()
        if self.how == "fails":
            raise KeyError("state")
        for group in self.param_groups:
            for p in group["params"]:
                g = p.grad.detach()
                if self.how == "silent" and g.is_complex():
                    g = g.to(torch.float32)
                p.data.add_(g, alpha=-group["lr"])
        return loss


class Rule(SGD):
    pass


def warm(step, steps: int = 4):
    return min(1.0, (step + 1) / steps)


def linear(step, max_steps):
    return 1 - step / max_steps


class Power:
    def __init__(self, power: float):
        self.power = power

    def __call__(self, step):
        return (step + 1) ** -self.power


class Halving(LRScheduler):
    def get_lr(self):
        return [rate / 2 ** self.last_epoch for rate in self.base_lrs]


def negative(step):
    return 1 - step


def complex_rate(step):
    return 1j


def late(step):
    return {}[step] if step == 3 else 1.0


class Judge(Callback):
    def on_validation_epoch_end(self, trainer, module):
        raise RuntimeError


class Counter(Callback):
    def __init__(self, every: int = 1):
        self.every = every

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        with open("batches", "a") as file:
            file.write(f"{batch_idx}\\n" if batch_idx % self.every == 0 else "")
"""
TRUST = "trusted_modules=[trainlab]"
SMALL = ("model.hidden=[4]", "max_steps=8", "batch_size=16", "signals.validation_every=4")
OPTIMIZER = ("optimizer=custom", "optimizer._target_=trainlab.Descent", TRUST)


@pytest.fixture(autouse=True)
def package(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("package")
    (folder / "trainlab.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(folder)
    yield
    sys.modules.pop("trainlab", None)


def scheduled(name, *arguments):
    return ("scheduler=custom", f"scheduler._target_={name}", TRUST, *arguments)


def factors(*overrides):
    config = configured(*SMALL, *overrides)
    factor = learning_rate_factor(config.scheduler, config.max_steps, config.trusted_modules)
    return [factor(step) for step in range(config.max_steps)]


def test_hooks_of_a_callback_that_are_not_called_are_named_in_a_line(caplog):
    check_trainer(configured("callbacks=[trainlab.Counter]", TRUST))
    check_trainer(configured("callbacks=[lightning.pytorch.callbacks.Timer]"))
    assert not caplog.records
    check_trainer(configured("callbacks=[trainlab.Judge]", TRUST))
    (record,) = caplog.records
    assert record.getMessage().startswith("Judge: on_validation_epoch_end will not be called:")


def test_an_own_optimizer_needs_no_deletions_and_trains(tmp_path):
    ours = trained(tmp_path, *SMALL, "optimizer=sgd", "optimizer.lr=0.0625")
    theirs = trained(tmp_path, *SMALL, *OPTIMIZER, "lr_octave=3")
    assert theirs.record.config["optimizer"]["lr"] == 0.0625
    for name, weight in ours.weights.items():
        assert torch.allclose(weight, theirs.weights[name], rtol=1e-5, atol=1e-7)
    assert refusal(configured(*OPTIMIZER)) == "Descent has no stacked form"


def test_a_rule_of_ones_own_is_stacked(tmp_path):
    rule = ("optimizer=custom", "optimizer._target_=trainlab.Rule", TRUST, *SMALL)
    both = stacked(tmp_path, (*rule, "lr_octave=0"), (*rule, "lr_octave=1"))
    assert {run.record.engine for run in both} == {"stack"}
    assert equal(both[0], stacked(tmp_path, (*SMALL, "optimizer.lr=0.0078125"))[0])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["+optimizer.how=deaf"], "a trial step does not call the closure"),
        (["+optimizer.how=fails"], "a trial step failed: KeyError: 'state' (/"),
        (["+optimizer.how=silent"], "a trial step failed: Casting complex values to real"),
        (["+optimizer.darg=1"], "optimizer.darg=1: Descent takes no such argument; did you mean"),
        (["optimizer.lr=0"], "optimizer.lr=0: should be greater than 0"),
    ],
)
def test_an_optimizer_that_cannot_train_is_one_line(overrides, message):
    with pytest.raises(InputError) as refused:
        config = configured(*SMALL, *OPTIMIZER, *overrides)
        network = torch.nn.Linear(3, 2, dtype=torch.complex64)
        torch.autograd.backward(network(torch.ones(1, 3) + 0j).abs().sum())
        check_numbers(config, network)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_schedules_are_functions_of_the_step_or_torchs_own():
    warmup = learning_rate_factor(WarmupConfig(kind="warmup", steps=4), 8)
    assert factors(*scheduled("trainlab.warm")) == [warmup(step) for step in range(8)]
    assert factors(*scheduled("trainlab.warm", "+scheduler.steps=2"))[:2] == [0.5, 1.0]
    assert factors(*scheduled("trainlab.linear")) == [1 - step / 8 for step in range(8)]
    assert factors(*scheduled("trainlab.Power", "+scheduler.power=1"))[3] == 0.25
    assert factors(*scheduled("trainlab.Halving")) == [2.0**-step for step in range(8)]
    torchs = "torch.optim.lr_scheduler"
    assert factors(
        *scheduled(f"{torchs}.StepLR", "+scheduler.step_size=4", "+scheduler.gamma=0.5")
    )[3:5] == [1, 0.5]
    cycle = factors(*scheduled(f"{torchs}.OneCycleLR", "+scheduler.max_lr=1"))
    assert cycle[0] == pytest.approx(1 / 25)
    assert cycle[-1] == pytest.approx(1 / 25e4)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (scheduled("trainlab.negative"), "a finite factor of at least 0, is -1.0 at step 2"),
        (scheduled("trainlab.complex_rate"), "at step 0: float() argument must be"),
        (scheduled("trainlab.late"), "at step 3: KeyError: 3 ("),
        (scheduled("trainlab.Power"), "scheduler: Power needs power"),
        (scheduled("trainlab.warm", "+scheduler.step_s=1"), "did you mean scheduler.steps?"),
        (scheduled("torch.optim.lr_scheduler.ReduceLROnPlateau"), "at step 1: "),
        (scheduled("torch.optim.lr_scheduler.lr"), "should be a torch LRScheduler class of torch."),
        (("scheduler=step", "+scheduler.steps=1"), "scheduler.steps=1: no such key"),
    ],
)
def test_what_is_no_schedule_is_refused(overrides, message):
    with pytest.raises(InputError) as refused:
        factors(*overrides)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_schedule_of_a_million_steps_is_a_table_made_once():
    section = CustomScheduleConfig.model_validate({"kind": "custom", "_target_": "trainlab.warm"})
    made = [learning_rate_factor(section, 10**6, ("trainlab",)) for _ in range(3)]
    assert made[0] is made[2]
    assert made[0](10**7) == 1.0


def test_own_schedules_are_stacked_and_equal_ours(tmp_path):
    own = (*SMALL, *scheduled("trainlab.warm", "+scheduler.steps=4"))
    ours = (*SMALL, "scheduler=warmup", "scheduler.steps=4")
    for mine, theirs in zip(
        stacked(tmp_path, ours, (*ours, "seed=1")),
        stacked(tmp_path, own, (*own, "seed=1")),
        strict=True,
    ):
        assert equal(mine, theirs)


def test_callbacks_are_named_by_their_class(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain, every = "callbacks=[trainlab.Counter]", "{_target_: trainlab.Counter, every: 4}"
    trained(tmp_path, *SMALL, TRUST, plain)
    assert (tmp_path / "batches").read_text().split() == [str(step) for step in range(8)]
    config = configured(TRUST, f"callbacks=[trainlab.Counter,{every}]")
    assert [callback.every for callback in configured_callbacks(config)] == [1, 4]
    assert refusal(config) == "callbacks see one run"
    assert configured("callbacks=[]").identity == configured().identity != config.identity
    for wrong, message in {
        "trainlab.Contuer": "callbacks[0]._target_=trainlab.Contuer: trainlab has no Contuer; did",
        "trainlab.Power": "callbacks[0]._target_=trainlab.Power: should be a lightning Callback",
        "{_target_: trainlab.Counter, evry: 1}": "callbacks[0].evry=1: Counter takes no such",
        "lightning.pytorch.callbacks.EarlyStopping": "use early_stopping.patience",
    }.items():
        with pytest.raises(InputError) as refused:
            configured_callbacks(configured(TRUST, f"callbacks=[{wrong}]"))
        assert message in str(refused.value)


def test_a_sweep_of_an_own_optimizer_and_schedule_says_why_it_is_not_stacked(
    tmp_path, monkeypatch, capsys, blank_figures
):
    monkeypatch.chdir(tmp_path)
    axes = ("lr_octave=0,1", "objective.scale=1,0.5", "seed=0,1", "-m", "hydra.sweep.dir=sweep")
    own = (*OPTIMIZER[:2], "optimizer.drag=0.1", *scheduled("trainlab.linear"))
    assert main([*SMALL, *own, *axes]) == 0
    printed = " ".join(capsys.readouterr().err.split())
    assert "8 runs one by one: Descent has no stacked form" in printed
    records = [read_record(path) for path in (tmp_path / "sweep").glob("*/run.json")]
    assert {json.dumps(r["config"]["scheduler"]) for r in records} == {
        '{"_target_": "trainlab.linear", "kind": "custom"}'
    }
    assert {r["status"] for r in records} == {"finished"}
