"""conf/optimizer and conf/scheduler hold what torch and `cvtrain.training.schedule` accept."""

import importlib
import inspect
import math
from pathlib import Path

import pytest
import torch
import yaml

from cvtrain.optim.torch_equivalents import OF_TORCH
from cvtrain.training.schedule import schedule

CONF = Path(__file__).parents[2] / "conf"
OWN = "custom.yaml"
OPTIMIZERS = sorted(path for path in (CONF / "optimizer").glob("*.yaml") if path.name != OWN)
SCHEDULERS = sorted(path for path in (CONF / "scheduler").glob("*.yaml") if path.name != OWN)
ALL = [*OPTIMIZERS, *SCHEDULERS]


def name(path: Path) -> str:
    return path.stem


def test_every_optimizer_and_schedule_is_there():
    assert {path.stem for path in OPTIMIZERS} == {
        *("sgd", "sgd_momentum", "adam", "adamw", "amsgrad", "nadam", "radam", "adamax"),
        *("rmsprop", "adagrad", "adadelta", "asgd", "rprop", "lbfgs", "lion", "signsgd", "muon"),
    }
    kinds = {"constant", "warmup", "cosine", "step", "exponential"}
    assert {path.stem for path in SCHEDULERS} == kinds


@pytest.mark.parametrize("path", ALL, ids=name)
def test_a_file_opens_with_a_sentence(path):
    opening = path.read_text().split("\n_target_")[0].split("\nkind")[0]
    assert opening.startswith("# ")
    assert opening.rstrip().endswith(".")


@pytest.mark.parametrize("path", OPTIMIZERS, ids=name)
def test_the_class_takes_the_arguments_and_a_step(path):
    values = yaml.safe_load(path.read_text())
    assert values.pop("lr") == "${learning_rate:${.reference_lr},${lr_octave}}"
    real_parameters = values.pop("real_parameters", {})
    assert set(real_parameters) <= {*values, "lr"}
    assert not any(real_parameters.values())
    reference = values.pop("reference_lr")
    module, _, target = values.pop("_target_").rpartition(".")
    optimizer = getattr(importlib.import_module(module), target)
    if module == "torch.optim":
        assert values.pop("semantics", "split") == "split"
    w = torch.randn(3, 2, dtype=torch.complex64, requires_grad=True)
    before = w.detach().clone()

    def closure() -> torch.Tensor:
        w.grad = None
        objective = (w.real**2 + w.imag**2).mean()
        objective.backward()
        return objective

    optimizer([w], lr=reference, **values).step(closure)
    assert w.isfinite().all()
    assert not torch.equal(w, before)


@pytest.mark.parametrize("path", OPTIMIZERS, ids=name)
def test_reference_learning_rates_are_powers_of_two(path):
    mantissa, _ = math.frexp(yaml.safe_load(path.read_text())["reference_lr"])
    assert mantissa == 0.5


@pytest.mark.parametrize("path", SCHEDULERS, ids=name)
def test_a_schedule_is_made_from_its_file(path):
    values = yaml.safe_load(path.read_text())
    assert values["kind"] == path.stem
    assert 0 < schedule(max_steps=400, **values)(0) <= 1


@pytest.mark.parametrize("theirs", OF_TORCH, ids=lambda kind: kind.__name__)
def test_defaults_are_those_of_torch(theirs):
    own, torchs = (inspect.signature(kind).parameters for kind in (OF_TORCH[theirs], theirs))
    common = [name for name in own if name in torchs and name != "params"]
    assert "lr" in common
    for name in common:
        assert own[name].default == torchs[name].default, name
