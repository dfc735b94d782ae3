"""Training under one reading of the gradient, reproduced under another bit for bit, or not."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from cvtrain.cli import convert as command
from cvtrain.laws import Side, convert, framework_convention
from cvtrain.laws.conversion import sides
from cvtrain.laws.table import CLASSES, LAWS, class_name, defaults
from cvtrain.laws.verify import distance
from cvtrain.process.errors import InputError
from tests.training.trained_runs import configured

DESCENDING = ("pytorch", "jax", "wirtinger")
"""The others have the factors and the rules of these."""
EXACT = [name for name in CLASSES if LAWS[class_name(name)].obstacle is None]


@pytest.fixture(autouse=True)
def short_trainings(monkeypatch):
    monkeypatch.setattr("cvtrain.laws.verify.STEPS", 15)


def hyperparameters(optimizer):
    """With what makes a difference, where the optimizer has it."""
    # Not more: what decays to 1e-19 has a square that underflows, and loses its exactness.
    chosen = {"lr": 0.001, "weight_decay": 0.125, "eps": 1e-3}
    if optimizer == "lbfgs":
        return {}
    return {name: value for name, value in chosen.items() if name in defaults(optimizer)}


# The experiment `laws` trains the same maps of all of them, in all four combinations.
QUICK = ("sgd_momentum", "adamw", "adadelta")


@pytest.mark.parametrize(
    ("mixed", "dtype"),
    [
        pytest.param(False, torch.complex64, marks=pytest.mark.long),
        (True, torch.complex128),
    ],
    ids=["complex", "mixed"],
)
@pytest.mark.parametrize(
    "optimizer",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in EXACT],
)
def test_every_pair_of_readings_ends_with_equal_bits(optimizer, mixed, dtype):
    seen = set()
    for source, target, scale in itertools.product(DESCENDING, DESCENDING, (1.0, 0.5)):
        pair = sides(source, target, target_scale=scale)
        made = convert(optimizer, hyperparameters(optimizer), *pair, mixed=mixed)
        key = (made.complex_factor, made.real_factor, made.semantics)
        if made.obstacles or key in seen or made.complex_factor == made.real_factor == 1:
            continue
        seen.add(key)
        assert distance(made, dtype) == 0.0, (source, target, scale)
    assert {c for c, _, _ in seen} >= {0.5, *((2.0, 0.25) if optimizer != "lbfgs" else ())}


@pytest.mark.parametrize("kind", ["norm", "modulus", "split"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_clipping_is_converted_too(optimizer, kind):
    clip = {"kind": kind, "threshold": 0.01}
    made = convert(optimizer, hyperparameters(optimizer), *sides("wirtinger", "pytorch"), clip=clip)
    assert made.clip["threshold"] == 0.02
    assert distance(made) == 0.0
    unclipped = convert(optimizer, hyperparameters(optimizer), *sides("wirtinger", "pytorch"))
    assert distance(replace(made, clip=unclipped.clip)) > 1e-3


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "rmsprop", "adadelta"])
def test_without_the_conversion_the_weights_differ(optimizer):
    made = convert(optimizer, hyperparameters(optimizer), *sides("wirtinger", "pytorch"))
    assert distance(replace(made, values=made.source_values)) > 1e-6


def test_real_parameters_have_a_group_of_their_own_in_a_mixed_network():
    made = convert(
        "sgd", {"lr": 0.1, "weight_decay": 0.01}, *sides("wirtinger", "pytorch"), mixed=True
    )
    assert (made.values["lr"], made.real_values["lr"]) == (0.05, 0.1)
    assert "optimizer.real_parameters.lr=0.1" in made.overrides()
    assert made.exact
    assert convert("lion", {}, *sides("wirtinger", "pytorch"), mixed=True).real_values is None


@pytest.mark.parametrize(
    ("optimizer", "hyperparameters", "clip", "mixed", "reason"),
    [
        ("radam", {"lr": 0.01}, None, False, "first steps are plain momentum"),
        ("lbfgs", {"line_search_fn": "strong_wolfe"}, None, False, "a line search compares"),
        ("lbfgs", {}, None, True, "LBFGS has one line"),
        ("sgd", {"lr": 0.01}, {"kind": "norm", "threshold": 0.01}, True, "share one norm"),
    ],
)
def test_what_has_no_exact_map_says_why_and_how_far_off_the_nearest_is(
    monkeypatch, optimizer, hyperparameters, clip, mixed, reason
):
    if optimizer == "lbfgs":  # whose line searches part after some more steps
        monkeypatch.setattr("cvtrain.laws.verify.STEPS", 100)
    made = convert(
        optimizer, hyperparameters, *sides("wirtinger", "pytorch"), clip=clip, mixed=mixed
    )
    assert not made.exact
    assert reason in " ".join(made.obstacles)
    assert distance(made) > 1e-4
    assert "the nearest: " in "\n".join(command.account(made))


@pytest.mark.parametrize(
    ("source", "target"), [("unconjugated", "pytorch"), ("jax", "unconjugated")]
)
def test_a_missing_conjugate_is_a_mistake_and_has_no_map(source, target):
    made = convert("adam", {}, *sides(source, target))
    assert made.values is None
    assert made.overrides() == []
    assert "which is a mistake" in made.obstacles[0]
    with pytest.raises(ValueError, match="should be the target's hyperparameters"):
        distance(made)


def test_a_difference_of_rules_is_told():
    made = convert("adam", {}, *sides("jax", "pytorch"))
    assert not made.exact
    assert "modulus" in made.differences[0]
    assert "optimizer.semantics=modulus" in made.overrides()
    assert convert("sgd", {}, *sides("jax", "pytorch")).exact
    assert convert("adam", {}, *sides("jax", "zygote")).exact
    assert "eps inside the root" in convert("rmsprop", {}, *sides("jax", "zygote")).differences[0]
    assert convert("adam", {}, *sides("tensorflow", "pytorch")).differences


@pytest.mark.parametrize("optimizer", CLASSES)
def test_the_overrides_compose(optimizer):
    clip = {"kind": "norm", "threshold": 1.0}
    made = convert(optimizer, {}, *sides("wirtinger", "pytorch"), clip=clip, mixed=True)
    config = configured(*made.overrides())
    assert config.optimizer.lr == made.values["lr"]
    assert config.clip.threshold == 2.0
    assert config.convention.scale == 1.0


def test_the_command_prints_a_table_and_overrides(capsys):
    status = command.main(
        ["--from", "wirtinger", "--to", "pytorch", "adamw", "lr=1e-3", "eps=1e-8", "clip.norm=1"]
    )
    printed = capsys.readouterr().out
    assert status == 0
    assert "eps             1e-08         2e-08" in printed
    assert "ended with equal bits" in printed
    assert "optimizer=adamw optimizer.lr=0.001" in printed
    assert command.main(["--from", "unconjugated", "--to", "pytorch", "sgd"]) == 1


def test_an_obstacle_stands_in_the_way_where_real_parameters_alone_have_another_factor(capsys):
    """Half of the loss makes up for the complex parameters' factor, not for the real ones'."""
    sides_ = ["--from", "wirtinger", "--to", "pytorch", "--to-loss-scale", "0.5"]
    assert command.main([*sides_, "--mixed", "radam", "lr=0.01", "eps=1e-3"]) == 1
    printed = capsys.readouterr().out
    assert "no exact conversion: its first steps are plain momentum" in printed
    assert "exact, up to rounding" not in printed
    assert command.main([*sides_, "radam", "lr=0.01", "eps=1e-3"]) == 0


def test_what_ends_farther_apart_than_rounding_is_not_called_exact(capsys, monkeypatch):
    monkeypatch.setattr(command, "distance", lambda _: 1e-6)
    assert command.main(["--from", "wirtinger", "--to", "pytorch", "adam"]) == 1
    assert "not exact: a small network" in capsys.readouterr().out
    monkeypatch.setattr(command, "distance", lambda _: 1e-12)
    assert command.main(["--from", "wirtinger", "--to", "pytorch", "adam"]) == 0
    assert "exact, up to rounding" in capsys.readouterr().out


def test_plain_torch_is_told_of_accumulators_that_it_would_not_fill():
    hyperparameters = {"initial_accumulator_value": 0.1}
    made = convert("adagrad", hyperparameters, *sides("wirtinger", "pytorch"), mixed=True)
    assert "torch.optim.Adagrad fills it with the constructor's" in made.condition
    assert convert("adagrad", {}, *sides("wirtinger", "pytorch"), mixed=True).condition is None
    assert convert("adagrad", hyperparameters, *sides("wirtinger", "pytorch")).condition is None


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--from", "matlab", "--to", "jax", "adam"), "matlab: should be a framework"),
        (
            ("--from", "jax", "--to", "pytorch", "shampoo"),
            "optimizer=shampoo: should be one with a known",
        ),
        (("--from", "jax", "--to", "pytorch", "adam", "mu=1"), "mu: not a hyperparameter of adam"),
        (("--from", "jax", "--to", "pytorch", "adam", "lr"), "lr: should be NAME=VALUE"),
        (("--from", "jax", "--to", "pytorch", "adam", "clip.value=1"), "clip.value: should be"),
        (("--from", "jax", "--to", "pytorch", "adam", "clip.norm=-1"), "clip.threshold=-1"),
        (("--from", "jax", "--to-loss-scale", "0", "--to", "pytorch", "adam"), "loss scale 0.0"),
        (("--from", "jax", "adam"), "--to"),
    ],
)
def test_bad_input_is_one_line_and_status_2(capsys, arguments, line):
    assert command.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert line in captured.err


def test_a_loss_scale_is_above_0():
    with pytest.raises(InputError, match="should be a finite number above 0"):
        Side(framework_convention("jax"), -0.5)
