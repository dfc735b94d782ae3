"""Weights of samples: the loss is Σ wᵢ lᵢ / Σ wᵢ, in training and in validation and test."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn

from cvtrain.cli.evaluate import evaluate
from cvtrain.cli.inspect import inspect_task
from cvtrain.data.in_memory import data_target
from cvtrain.data.load import load_dataset
from cvtrain.gradients.losses import IGNORED, Objective
from cvtrain.process.errors import InputError
from cvtrain.training import data_parallel
from cvtrain.training.data_parallel import Shares
from cvtrain.training.metrics import Totals, measured
from cvtrain.training.preflight import check_structure
from cvtrain.training.task import Task
from tests.data.their_data import SPLITS
from tests.training.trained_runs import (
    configured,
    equal,
    largest_difference,
    together_and_alone,
    trained,
)

RNG = np.random.default_rng(3)
SIZES = {"train": 24, "validation": 10, "test": 8}
SHORT = ("max_steps=12", "signals.validation_every=6")
WEIGHTS = {name: 1.0 + np.arange(n) % 3 for name, n in SIZES.items()}
X = {n: RNG.normal(size=(k, 4)) + 1j * RNG.normal(size=(k, 4)) for n, k in SIZES.items()}
TARGETS = {
    "labels": {name: np.arange(n) % 3 for name, n in SIZES.items()},
    "values": {name: x[:, :2] * (1 + 1j) + x[:, 2:].conj() for name, x in X.items()},
}
PACKAGE = """
def each(output, target):
    return (output - target).abs().square().mean(1)

def one(output, target):
    return each(output, target).mean()
"""


@pytest.fixture
def losses(tmp_path, monkeypatch):
    (tmp_path / "weightlab.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    yield ("objective=custom", "trusted_modules=[weightlab]", "objective._target_=weightlab.")
    sys.modules.pop("weightlab", None)


@pytest.fixture
def runs(tmp_path):
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def saved(folder, kind="values", weights=None, repeats=None, own_splits=True):
    """Overrides of arrays in files, with weights or every sample repeated."""
    words = ["data=arrays", "model=linear", "optimizer=sgd", *SHORT]
    words.append(f"objective={'cross_entropy' if kind == 'labels' else 'complex_mse'}")
    for name in SPLITS if own_splits else ("train",):
        prefix = "" if name == "train" else f"{name}_"
        arrays = {"inputs": X[name], "targets": TARGETS[kind][name]}
        if repeats is not None:
            arrays = {key: np.repeat(a, repeats[name], axis=0) for key, a in arrays.items()}
        if weights is not None:
            arrays["weights"] = weights[name]
        for key, array in arrays.items():
            file = folder / f"{kind}_{name}_{key}_{repeats is None}.npy"
            np.save(file, array)
            words.append(f"data.{prefix}{key}={file}")
    return words


@pytest.mark.parametrize("positions", [(), (3,)])
@pytest.mark.parametrize("loss", ["complex_mse", "complex_huber", "cross_entropy"])
def test_a_weight_of_two_is_a_sample_twice(loss, positions):
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(5, 3, *positions, dtype=torch.complex128, generator=generator)
    target = torch.randn(5, 3, *positions, dtype=torch.complex128, generator=generator)
    if loss == "cross_entropy":
        target = torch.arange(5).reshape(-1, *(1 for _ in positions)).expand(5, *positions) % 3
        target = target.clone()
        target[(1, *(0 for _ in positions))] = IGNORED
    objective = Objective(loss, delta=0.7 if loss == "complex_huber" else None)
    weights = torch.tensor([1, 2, 0, 3, 1], dtype=torch.float64)
    repeated = weights.long()
    expected = objective.loss_value(
        output.repeat_interleave(repeated, 0), target.repeat_interleave(repeated, 0)
    )
    assert objective.loss_value(output, target, weights).item() == pytest.approx(expected.item())
    assert objective.loss_value(output, target, 0 * weights).item() == 0


def test_the_loss_of_a_split_does_not_depend_on_its_pieces():
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(6, 3, dtype=torch.complex128, generator=generator)
    target = torch.tensor([0, 1, 2, IGNORED, 1, 0])
    weights = torch.tensor([1.0, 0, 2, 5, 3, 0.5], dtype=torch.float64)
    dataset = Task(configured("data=digits_fft")).dataset
    objective = Objective("cross_entropy")
    metrics = measured(dataset, objective)
    whole = objective.loss_value(output, target, weights).item()
    for size in (1, 4, 6):
        totals = Totals(metrics)
        pieces = zip(output.split(size), target.split(size), weights.split(size), strict=True)
        for piece in pieces:
            totals.add(*piece)
        values = totals.values()
        assert values["loss"].item() == pytest.approx(whole)
        # Only the loss is weighted.
        assert values["accuracy"] == metrics["accuracy"](output, target)


@pytest.mark.parametrize("kind", ["labels", "values"])
def test_a_weighted_run_is_the_run_of_repeated_samples(tmp_path, runs, kind):
    common = ("batch_size=null", "dtype=complex128", "data.scale=none", "trainer.accelerator=cpu")
    weighted = trained(runs, *saved(tmp_path, kind, WEIGHTS), *common)
    counts = {name: w.astype(int) for name, w in WEIGHTS.items()}
    repeated = trained(runs, *saved(tmp_path, kind, repeats=counts), *common)
    assert largest_difference(weighted, repeated) < 1e-12
    for tag in ("train/loss", "val/loss", "test/loss"):
        value = repeated.record.final[tag]
        assert weighted.record.final[tag] == pytest.approx(value, rel=1e-10)
    unweighted = trained(runs, *saved(tmp_path, kind), *common)
    assert largest_difference(weighted, unweighted) > 1e-3
    evaluation = evaluate(weighted.directory, "test", "last")
    assert evaluation.values["loss"] == weighted.record.final["test/loss"]


def test_equal_weights_have_the_bits_of_none_and_disk_those_of_memory(tmp_path, runs):
    equal_ones = {name: np.full(n, 0.3) for name, n in SIZES.items()}
    first = trained(runs, *saved(tmp_path, "values"), "batch_size=8")
    for weighted in ("true", "false"):
        words = (f"data.in_memory={weighted}", "batch_size=8")
        assert equal(first, trained(runs, *saved(tmp_path, "values", equal_ones), *words))
    in_memory, on_disk = (
        trained(runs, *saved(tmp_path, "values", WEIGHTS), f"data.in_memory={p}", "batch_size=8")
        for p in ("true", "false")
    )
    assert equal(in_memory, on_disk)
    assert in_memory.record.final["val/loss"] == on_disk.record.final["val/loss"]


def test_arrays_of_python_have_weights_as_files_do(tmp_path):
    x, y, w = X["train"], TARGETS["labels"]["train"], WEIGHTS["train"]
    files = load_dataset(configured(*saved(tmp_path, "labels", WEIGHTS, own_splits=False)))
    path = data_target((x, torch.from_numpy(y), w))
    memory = load_dataset(configured("data=custom", f"data._target_={path}", "model=linear"))
    for name in SPLITS:
        pairs = zip(getattr(files, name).tensors, getattr(memory, name).tensors, strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
        assert len(getattr(memory, name).tensors) == 3
    with pytest.raises(InputError, match=r"targets \[24\] and weights \[5\] should have the same"):
        data_target((x, y, w[:5]))


def test_a_stack_of_other_draws_has_what_each_run_has_alone(tmp_path, runs):
    words = (*saved(tmp_path, "labels", WEIGHTS, own_splits=False), "batch_size=5")
    members = [(*words, f"data.seed={seed}", f"seed={seed}") for seed in (0, 1)]
    for together, alone in together_and_alone(runs, *members):
        assert together.record.engine == "stack"
        assert largest_difference(together, alone) < 1e-5
        for tag in ("val/loss", "test/loss", "train/loss"):
            value = alone.record.final[tag]
            assert together.record.final[tag] == pytest.approx(value, rel=1e-5)


def test_half_the_loss_is_half_the_gradient_bit_by_bit(tmp_path, runs):
    words = (*saved(tmp_path, "values", WEIGHTS), "batch_size=8")
    scaled = trained(runs, *words, "objective.scale=0.5", "convention=pytorch")
    halved = trained(runs, *words, "objective.scale=1", "convention=wirtinger")
    assert equal(scaled, halved)


def test_a_loss_of_ones_own_is_weighted_if_it_gives_a_value_for_each_sample(tmp_path, runs, losses):
    *chosen, target = losses
    words = [w for w in saved(tmp_path, "values", WEIGHTS) if not w.startswith("objective=")]
    theirs = trained(runs, *words, *chosen, f"{target}each", "batch_size=8")
    ours = trained(runs, *saved(tmp_path, "values", WEIGHTS), "batch_size=8")
    assert largest_difference(theirs, ours) < 1e-4
    words.append("batch_size=8")
    task = Task(configured(*words, *chosen, f"{target}one"))
    with pytest.raises(InputError, match="returns one number for all samples, should be one for"):
        check_structure(task)
    only_validated = [w for w in words if not w.startswith("data.weights=")]
    with pytest.raises(InputError, match="should be one for each sample, as the data have weights"):
        check_structure(Task(configured(*only_validated, *chosen, f"{target}one")))


def test_inspection_weighs_the_gradient_of_the_training_set(tmp_path):
    mixed = ("model=mixed_mlp", "model.hidden=[3]", "dtype=complex128", "data.scale=none")
    counts = {name: w.astype(int) for name, w in WEIGHTS.items()}
    seen = [
        inspect_task(Task(configured(*saved(tmp_path, "labels", *how), *mixed)))
        for how in ((WEIGHTS,), (None, counts), ())
    ]
    weighted, repeated, unweighted = (inspection.complex_share for inspection in seen)
    assert weighted == pytest.approx(repeated, rel=1e-9)
    assert abs(weighted - unweighted) > 1e-6
    assert seen[0].loss == seen[2].loss


def test_shares_of_a_weighted_batch_average_to_its_gradient(tmp_path, monkeypatch):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 's'}", rank=0, world_size=1)
    monkeypatch.setattr(data_parallel.dist, "all_reduce", lambda tensor: None)
    try:
        model = nn.Linear(4, 2, dtype=torch.complex128)
        x = torch.from_numpy(X["train"][:5])
        y = torch.from_numpy(TARGETS["values"]["train"][:5])
        weights = torch.tensor([1.0, 4, 0, 2, 7], dtype=torch.float64)
        objective, shares = Objective("complex_mse"), Shares(model)

        def loss(network, chosen):
            return objective.loss_value(network(x[chosen]), y[chosen], weights[chosen])

        (whole,) = torch.autograd.grad(loss(model, slice(None)), [model.weight])
        mean = torch.zeros_like(whole)
        shares._devices = 2
        for shares._rank in (0, 1):
            model.zero_grad()
            shares.loss(torch.arange(5), loss, weights).backward()
            mean += model.weight.grad / 2
    finally:
        data_parallel.leave_group()
    assert torch.allclose(mean, whole, rtol=1e-12)
