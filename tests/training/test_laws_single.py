"""Power-of-two laws through the real engine: the factor 2 is a relabelling, bit for bit, or not."""

from __future__ import annotations

from itertools import cycle

import pytest
import torch

from cvtrain.training.optimizer import fill_accumulators
from tests.training.trained_runs import equal, trained

DIGITS = ("max_steps=30", "signals.histograms_every=0", "batch_size=60", "model.hidden=[16,16]")
SGD = ("optimizer=sgd", "optimizer.lr=0.125")
ADAM = ("optimizer=adam", "optimizer.lr=0.00390625")

PAIRS = {
    "SGD": (SGD, ("optimizer.lr=0.25",)),
    "SGD with momentum": (
        (*SGD, "optimizer.momentum=0.9"),
        ("optimizer.lr=0.25",),
    ),
    "SGD with Nesterov's momentum": (
        (*SGD, "optimizer.momentum=0.9", "optimizer.nesterov=true"),
        ("optimizer.lr=0.25",),
    ),
    "SGD with weight decay": (
        (*SGD, "optimizer.weight_decay=0.01"),
        ("optimizer.lr=0.25", "optimizer.weight_decay=0.005"),
    ),
    "Adam": (ADAM, ("optimizer.eps=5e-9",)),
    "Adam with weight decay": (
        (*ADAM, "optimizer.weight_decay=0.01"),
        ("optimizer.eps=5e-9", "optimizer.weight_decay=0.005"),
    ),
    "SGD clipped by norm": (
        (*SGD, "clip=norm", "clip.threshold=0.5"),
        ("optimizer.lr=0.25", "clip.threshold=0.25", "clip.eps=5e-7"),
    ),
    "SGD clipped by modulus": (
        (*SGD, "clip=modulus", "clip.threshold=0.01"),
        ("optimizer.lr=0.25", "clip.threshold=0.005"),
    ),
    "SGD along a cosine": (
        (*SGD, "scheduler=cosine"),
        ("optimizer.lr=0.25",),
    ),
}


@pytest.mark.parametrize(
    ("name", "dtype"), [*zip(PAIRS, cycle(["complex64", "complex128"]), strict=False)]
)
def test_half_the_objective_is_absorbed_bit_for_bit_in_a_mixed_network(tmp_path, name, dtype):
    common, mapped = PAIRS[name]
    whole = trained(tmp_path, *DIGITS, f"dtype={dtype}", *common)
    halved = trained(tmp_path, *DIGITS, f"dtype={dtype}", *common, "objective.scale=0.5", *mapped)
    assert equal(whole, halved)
    assert whole.record.final["test/loss"] == halved.record.final["test/loss"]


def test_in_a_purely_complex_network_scale_and_convention_are_one_number(tmp_path):
    network = (*DIGITS, "model=mlp", *SGD)
    scaled = trained(tmp_path, *network, "objective.scale=0.5")
    textbook = trained(tmp_path, *network, "convention=wirtinger")
    assert equal(scaled, textbook)


def test_complex_only_halving_is_not_absorbed_by_doubling_the_learning_rate(tmp_path):
    whole = trained(tmp_path, *DIGITS, *SGD)
    textbook = trained(tmp_path, *DIGITS, *SGD, "convention=wirtinger", "optimizer.lr=0.25")
    worst = max(
        float((whole.weights[name] - textbook.weights[name]).norm() / whole.weights[name].norm())
        for name in whole.weights
    )
    assert worst > 1e-2


def test_complex_only_halving_is_absorbed_by_a_rate_for_each_kind_of_parameter(tmp_path):
    whole = trained(tmp_path, *DIGITS, *SGD)
    textbook = trained(
        tmp_path,
        *DIGITS,
        *SGD,
        "convention=wirtinger",
        "optimizer.lr=0.25",
        "optimizer.real_parameters.lr=0.125",
    )
    assert equal(whole, textbook)


def test_a_control_that_keeps_coupled_weight_decay_differs(tmp_path):
    common = (*DIGITS, *SGD, "optimizer.weight_decay=0.01")
    whole = trained(tmp_path, *common)
    unmapped = trained(tmp_path, *common, "objective.scale=0.5", "optimizer.lr=0.25")
    assert not equal(whole, unmapped)


def test_the_complex_network_equals_its_real_pair_formulation(tmp_path):
    """One SGD run of a complex network against two real parameters for each complex one."""
    run = trained(
        tmp_path,
        "data=system_id",
        "model=widely_linear",
        "objective=complex_mse",
        "optimizer.lr=0.01",
        "dtype=complex128",
        "batch_size=null",
        "max_steps=40",
        "optimizer.momentum=0.5",
        "signals.histograms_every=0",
    )
    from cvtrain.data.load import load_dataset
    from cvtrain.training.network import build_model
    from tests.training.trained_runs import configured

    config = configured(
        "data=system_id", "model=widely_linear", "objective=complex_mse", "dtype=complex128"
    )
    dataset = load_dataset(config)
    inputs, targets = dataset.train.inputs.flatten(1), dataset.train.targets
    start = build_model(config, dataset).state_dict()
    pairs = {n: torch.view_as_real(w).clone().requires_grad_() for n, w in start.items()}
    optimizer = torch.optim.SGD(list(pairs.values()), lr=0.01, momentum=0.5)
    for _ in range(40):
        w, v = (pairs[name] for name in ("weight", "conjugate_weight"))
        real = inputs.real @ (w[..., 0] + v[..., 0]).T - inputs.imag @ (w[..., 1] - v[..., 1]).T
        imag = inputs.real @ (w[..., 1] + v[..., 1]).T + inputs.imag @ (w[..., 0] - v[..., 0]).T
        loss = ((real - targets.real) ** 2 + (imag - targets.imag) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for name, weight in run.weights.items():
        difference = (torch.view_as_real(weight) - pairs[name]).abs().max()
        assert float(difference.detach()) < 1e-12


def test_accumulators_of_real_parameters_begin_at_their_own_value():
    """torch fills all of them with the constructor's."""
    complex_, real = torch.zeros(2, dtype=torch.complex64), torch.zeros(2)
    groups = [{"params": [complex_]}, {"params": [real], "initial_accumulator_value": 0.25}]
    optimizer = torch.optim.Adagrad(groups, initial_accumulator_value=0.5)
    fill_accumulators(optimizer)
    assert optimizer.state[complex_]["sum"].tolist() == [0.5 + 0.5j] * 2
    assert optimizer.state[real]["sum"].tolist() == [0.25] * 2


def test_no_other_optimizer_of_torch_makes_its_state_from_the_constructors_values():
    kinds = ["SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "RMSprop", "Adadelta", "Rprop"]
    kinds += ["ASGD", "LBFGS", "Adagrad"]
    made = {kind: getattr(torch.optim, kind)([torch.zeros(2)], lr=0.1) for kind in kinds}
    assert [kind for kind, optimizer in made.items() if optimizer.state] == ["Adagrad"]
