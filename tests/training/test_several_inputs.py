"""Networks that take several inputs."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from cvtrain.cli.evaluate import evaluate
from cvtrain.cli.inspect import inspect_task
from cvtrain.data import Dataset, Split
from cvtrain.data.in_memory import data_target
from cvtrain.data.load import load_dataset
from cvtrain.data.split import network_output
from cvtrain.process.errors import InputError
from cvtrain.training.preflight import check_structure
from cvtrain.training.task import Task
from cvtrain.training.trained_network import trained_network
from tests.data.their_data import SPLITS
from tests.training.trained_runs import (
    configured,
    equal,
    largest_difference,
    together_and_alone,
    trained,
)

PACKAGE = """
import torch
from lightning.pytorch import LightningModule
from torch import nn
from torch.nn import functional as F

class Two(nn.Module):
    def __init__(self, in_features, out_features, dtype):
        super().__init__()
        signal, place = in_features
        self.signal = nn.Linear(signal, 4, dtype=dtype)
        self.place = nn.Linear(place, 4, dtype=dtype)
        self.out = nn.Linear(4, out_features, dtype=dtype)

    def forward(self, signal, place):
        return self.out(torch.tanh(self.signal(signal.flatten(1))) * self.place(place))


class Lit(LightningModule):
    def __init__(self, in_features, out_features, dtype):
        super().__init__()
        self.network = Two(in_features, out_features, dtype)

    def forward(self, signal, place):
        return self.network(signal, place)

    def training_step(self, batch, batch_idx):
        inputs, target, weights = batch
        terms = F.cross_entropy(self(*inputs).abs(), target, reduction="none")
        return (weights * terms).sum() / weights.sum()
"""
OWN = ("model=custom", "model._target_=twolab.Two", "trusted_modules=[twolab]")
SHORT = ("optimizer=sgd", "max_steps=10", "batch_size=8", "signals.validation_every=5")
RNG = np.random.default_rng(5)
SIGNAL = RNG.normal(size=(40, 2, 3)) + 1j * RNG.normal(size=(40, 2, 3))
PLACE = 5 * RNG.normal(size=40)
LABELS = (PLACE * SIGNAL.real.sum((1, 2)) > 0).astype(np.int64)
PARTS = (slice(24), slice(24, 32), slice(32, 40))


@pytest.fixture(autouse=True)
def package(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("package")
    (folder / "twolab.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(folder)
    yield
    sys.modules.pop("twolab", None)


@pytest.fixture
def files(tmp_path):
    arrays = {"signal": SIGNAL, "place": PLACE, "labels": LABELS, "short": PLACE[:9]}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "runs").mkdir()
    both = f"data.inputs=[{tmp_path}/signal.npy,{tmp_path}/place.npy]"
    return ("data=arrays", both, f"data.targets={tmp_path}/labels.npy")


def test_each_input_is_scaled_by_its_own_training_split(files):
    dataset = load_dataset(configured(*files, *OWN))
    assert dataset.in_features == (6, 1)
    assert dataset.input_shape == ((2, 3), (1,))
    assert list(dataset.scales) == ["inputs[0]", "inputs[1]"]
    for x in dataset.train.inputs:
        assert x.abs().square().mean().item() == pytest.approx(1, rel=1e-5)
    assert "samples of 2×3 and 1 complex64" in Task(configured(*files, *OWN)).description[0]


def test_a_stack_of_other_draws_has_what_each_run_has_alone(files, tmp_path):
    members = [(*files, *OWN, *SHORT, f"data.seed={seed}", f"seed={seed}") for seed in (0, 1)]
    for together, alone in together_and_alone(tmp_path / "runs", *members):
        assert together.record.engine == "stack"
        assert largest_difference(together, alone) < 1e-5
        for tag in ("val/loss", "test/loss"):
            value = alone.record.final[tag]
            assert together.record.final[tag] == pytest.approx(value, rel=1e-5)


def test_disk_has_the_bits_of_memory_and_a_run_is_evaluated(files, tmp_path):
    runs = [
        trained(tmp_path / "runs", *files, *OWN, *SHORT, f"data.in_memory={weighted}")
        for weighted in ("true", "false")
    ]
    assert equal(*runs)
    evaluation = evaluate(runs[0].directory, "test", "last", trusted=("twolab",), predictions=True)
    assert evaluation.values["loss"] == runs[0].record.final["test/loss"]
    config = configured(*files, *OWN, *SHORT)
    task, model, _ = trained_network(runs[0].directory, config, "last")
    with torch.no_grad():
        outputs = network_output(model.eval(), task.dataset.test.inputs)
    assert torch.equal(evaluation.predictions[0], outputs)


def test_a_lightning_module_gets_all_inputs_and_the_weights(files, tmp_path):
    np.save(tmp_path / "weights.npy", 1.0 + np.arange(40) % 4)
    files = (*files, *SHORT, f"data.weights={tmp_path}/weights.npy")
    own = ("module=custom", "module._target_=twolab.Lit", OWN[-1])
    plain, lit = (trained(tmp_path / "runs", *files, *words) for words in (OWN, own))
    for name, weight in plain.weights.items():
        assert torch.allclose(lit.weights[f"network.{name}"], weight, rtol=1e-5, atol=1e-7)
    for tag in ("val/loss", "test/loss"):
        assert lit.record.final[tag] == pytest.approx(plain.record.final[tag], rel=1e-5)


def test_inspection_calls_the_network_with_all_of_them(files):
    inspection = inspect_task(Task(configured(*files, *OWN, *SHORT)))
    assert inspection.ok
    assert inspection.convention == "pytorch"


def test_the_same_samples_have_the_same_bits_through_every_door(files):
    signal, labels = torch.from_numpy(SIGNAL).to(torch.complex64), torch.from_numpy(LABELS)
    position = torch.from_numpy(PLACE).to(torch.complex64)[:, None]
    ours = Dataset(
        *(Split((signal[p], position[p]), labels[p]) for p in PARTS),
        task="classification",
        out_features=2,
    )
    torchs = [
        [((a, b), y) for a, b, y in TensorDataset(signal[p], position[p], labels[p])] for p in PARTS
    ]
    doors = [
        load_dataset(configured("data=custom", f"data._target_={data_target(data)}", *OWN))
        for data in (ours, torchs, lambda: torchs)
    ]
    for dataset in doors:
        for name in SPLITS:
            same = zip(getattr(dataset, name).tensors, getattr(ours, name).tensors, strict=True)
            assert all(torch.equal(a, b) for a, b in same)
    from_files = load_dataset(configured(*files, *OWN))
    path = data_target(((SIGNAL, PLACE), LABELS))
    in_memory = load_dataset(configured("data=custom", f"data._target_={path}", *OWN))
    for name in SPLITS:
        pairs = zip(
            getattr(from_files, name).tensors, getattr(in_memory, name).tensors, strict=True
        )
        assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("model=mlp",),
            r"model._target_=.*its forward takes x, should take 2 inputs, as the data",
        ),
        ((*OWN, "data.inputs={}/signal.npy"), "its forward takes signal, place, should take 1 inp"),
        (
            (*OWN, "data.inputs=[{}/signal.npy,{}/short.npy]"),
            r"inputs=.*short.npy: 9 samples should be 40, as inputs=.*signal.npy has",
        ),
        ((*OWN, "data.inputs=[]"), r"inputs=\[\]: should be a file or a list of files"),
        ((*OWN, "data.inputs=[{}/signal.npy,{}/none.npy]"), "there is no file .*none.npy"),
    ],
)
def test_what_does_not_fit_is_one_line(files, tmp_path, words, message):
    config = configured(*files, *SHORT, *(word.replace("{}", str(tmp_path)) for word in words))
    with pytest.raises(InputError, match=message) as refused:
        check_structure(Task(config))
    assert "\n" not in str(refused.value)


def test_torch_data_sets_of_other_numbers_of_inputs_are_refused():
    x = torch.ones(3)
    with pytest.raises(InputError, match="sample 1: 1 inputs should be 2, as in sample 0"):
        data_target([[((x, x), 0), ((x,), 1)]] * 3)
