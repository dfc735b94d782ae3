"""The stack engine against the single one, the reference: same numbers, same files."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from cvtrain.data.load import load_dataset
from cvtrain.training.network import build_model
from tests.training.trained_runs import (
    Trained,
    configured,
    equal,
    largest_difference,
    stacked,
    together_and_alone,
    trained,
)

COMMON = ("dtype=complex128", "signals.histograms_every=0", "signals.scalars_every=5")
MODELS = {
    "linear": ("data=system_id", "data.samples=500", "model=linear", "objective=complex_mse"),
    "widely_linear": (
        "data=system_id",
        "data.samples=500",
        "data.circularity=0.9",
        "model=widely_linear",
        "objective=complex_huber",
    ),
    "mlp": ("model=mlp", "model.hidden=[12]"),
    "mixed_mlp": ("model=mixed_mlp", "model.hidden=[12]", "model.activation=cardioid"),
}
RULES = {
    "sgd": ("optimizer=sgd", "optimizer.weight_decay=0.01"),
    "nesterov": ("optimizer=sgd_momentum", "optimizer.nesterov=true"),
    "momentum": ("optimizer=sgd_momentum", "optimizer.dampening=0.3"),
    "adam": ("optimizer=adam", "optimizer.weight_decay=0.01"),
    "adamw": ("optimizer=adamw", "optimizer.real_parameters.lr=0.002"),
    "amsgrad": ("optimizer=amsgrad", "optimizer.betas=[0.8,0.95]"),
    "rmsprop": ("optimizer=rmsprop", "optimizer.centered=true", "optimizer.momentum=0.5"),
    "adagrad": ("optimizer=adagrad", "optimizer.lr_decay=0.01"),
    "nadam": ("optimizer=nadam",),
    "radam": ("optimizer=radam", "optimizer.betas=[0.8,0.9]"),
    "adamax": ("optimizer=adamax",),
    "adadelta": ("optimizer=adadelta", "lr_octave=-3"),
    "rprop": ("optimizer=rprop",),
    "asgd": ("optimizer=asgd", "optimizer.t0=3"),
    "lion": ("optimizer=lion",),
    "signsgd": ("optimizer=signsgd", "optimizer.momentum=0.5"),
    "muon": ("optimizer=muon",),
    "modulus_adam": ("optimizer=adam", "optimizer.semantics=modulus"),
    "modulus_rprop": ("optimizer=rprop", "optimizer.semantics=modulus"),
}
CLIPS = {
    "none": ("clip=none",),
    "norm": ("clip=norm", "clip.threshold=0.3"),
    "modulus": ("clip=modulus", "clip.threshold=0.02"),
    "split": ("clip=split", "clip.threshold=0.02"),
}
CONVENTIONS = ("pytorch", "wirtinger", "unconjugated", "unconjugated_wirtinger")


@pytest.fixture(autouse=True)
def one_thread():
    """Small networks gain nothing from more, and stacks are filled up to fewer members."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def members(steps: int, *common: str, scales=("1", "0.5")) -> list[tuple[str, ...]]:
    """One per convention and scale, each with a seed and a learning rate of its own."""
    octaves = itertools.cycle((-1, 0, -2))
    return [
        (
            *COMMON,
            f"max_steps={steps}",
            *common,
            f"convention={convention}",
            f"objective.scale={scale}",
            f"lr_octave={octave}",
            f"seed={seed}",
        )
        for seed, ((convention, scale), octave) in enumerate(
            zip(itertools.product(CONVENTIONS, scales), octaves, strict=False)
        )
    ]


def assert_same_rows(stack: Trained, single: Trained, tolerance: float) -> None:
    rows, expected = stack.rows, single.rows
    assert list(rows.columns) == list(expected.columns)
    assert list(rows.index) == list(expected.index)
    for tag in rows.columns:
        finite = expected[tag][np.isfinite(expected[tag])].abs()
        size = max(finite.max(), 1e-6) if len(finite) else 1.0
        np.testing.assert_allclose(
            rows[tag], expected[tag], rtol=tolerance, atol=tolerance * size, err_msg=tag
        )


# Every rule once, and every clip in every model; under --all every rule with every clip. Stacks of
# every clip (tests/gradients) and of every rule (tests/optim) have the bits of their members alone.
EVERY = [
    pytest.param(model, rule, clip, marks=() if (m, c) == (r % 4, r // 4 % 4) else pytest.mark.long)
    for (m, model), (r, rule), (c, clip) in itertools.product(
        enumerate(MODELS), enumerate(RULES), enumerate(CLIPS)
    )
    if (m, c) == (r % 4, r // 4 % 4) or (m + r + c) % 4 == 0 or rule in ("nesterov", "adam")
]


@pytest.mark.parametrize(("model", "rule", "clip"), EVERY)
def test_every_rule_convention_scale_and_clip(tmp_path, model, rule, clip):
    chosen = members(12, *MODELS[model], *RULES[rule], *CLIPS[clip], "batch_size=20")
    together = stacked(tmp_path, *chosen)
    # Of the rules in turn one with half of the loss, and one of another convention.
    member = (1, 6)[list(RULES).index(rule) % 2]
    alone = trained(tmp_path, *chosen[member])
    assert largest_difference(together[member], alone) < 1e-11
    assert_same_rows(together[member], alone, 1e-11)


# One rule in the smallest and the largest model; under --all each rule in every second one, the
# first eight in all.
LONG = [
    pytest.param(model, rule, marks=() if r == 2 * m and m in (0, 3) else pytest.mark.long)
    for (m, model), (r, rule) in itertools.product(enumerate(MODELS), enumerate(RULES))
    if r < 8 or (m + r) % 2 == 0
]


@pytest.mark.parametrize(("model", "rule"), LONG)
def test_two_hundred_steps_to_ten_digits(tmp_path, model, rule):
    clip = dict(zip(RULES, itertools.cycle(CLIPS), strict=False))[rule]
    rarely = ("signals.scalars_every=25", "signals.validation_every=100")
    chosen = members(200, *MODELS[model], *RULES[rule], *CLIPS[clip], *rarely)[1:3]
    together = stacked(tmp_path, *chosen)[1]
    alone = trained(tmp_path, *chosen[1])
    assert together.record.status == alone.record.status == "finished"
    assert largest_difference(together, alone) < 1e-10
    assert_same_rows(together, alone, 1e-9)


@pytest.mark.parametrize(
    ("steps", "more", "tolerance"),
    [
        (50, ("model=mixed_mlp", "model.hidden=[16]", "optimizer.lr=0.001"), 1e-10),
        (50, (*MODELS["mlp"], "dtype=complex64"), 1e-4),
        (20, (*MODELS["mlp"], "batch_size=null"), 1e-12),
    ],
    ids=["modrelu, not chaotic", "single precision", "full batches"],
)
def test_steps_to_as_many_digits_as_there_are(tmp_path, steps, more, tolerance):
    chosen = [(*overrides, *more) for overrides in members(steps)[:2]]
    for together, alone in together_and_alone(tmp_path, *chosen):
        assert largest_difference(together, alone) < tolerance


@pytest.mark.parametrize(("optimizer", "steps"), [("sgd", 60), ("adam", 20)])
def test_a_step_from_an_identical_state_where_training_is_chaotic(
    tmp_path, monkeypatch, optimizer, steps
):
    chosen = (*COMMON, "model=mixed_mlp", f"optimizer={optimizer}", "lr_octave=1")
    reached = trained(tmp_path, *chosen, f"max_steps={steps}").weights

    def continued(config, dataset):
        model = build_model(config, dataset)
        model.load_state_dict(reached)
        return model

    monkeypatch.setattr("cvtrain.training.task.build_model", continued)
    once = [(*chosen, "max_steps=1", "seed=3"), (*chosen, "max_steps=1", "convention=wirtinger")]
    for together, alone in together_and_alone(tmp_path, *once):
        assert largest_difference(together, alone) < 1e-12
        assert_same_rows(together, alone, 1e-12)


def test_a_stack_of_one_is_the_single_run(tmp_path):
    (chosen,) = members(20, *MODELS["mlp"], *RULES["adam"])[2:3]
    (together,) = stacked(tmp_path, chosen)
    alone = trained(tmp_path, *chosen)
    assert largest_difference(together, alone) < 1e-12
    assert together.record.engine == "stack"
    assert together.record.stack_size == 1


SCHEDULERS = {
    "constant": (),
    "cosine": ("scheduler.warmup_steps=5", "scheduler.final_factor=0.1"),
    "warmup": ("scheduler.steps=7",),
    "step": ("scheduler.every=9", "scheduler.factor=0.5"),
    "exponential": ("scheduler.every=9", "scheduler.factor=0.5"),
}


def test_schedules_scale_each_learning_rate(tmp_path):
    common = members(30, *MODELS["mixed_mlp"], *RULES["adamw"])
    chosen = [
        (*overrides, f"scheduler={name}", *fields)
        for overrides, (name, fields) in zip(common, SCHEDULERS.items(), strict=False)
    ]
    for together, alone in together_and_alone(tmp_path, *chosen):
        assert largest_difference(together, alone) < 1e-12
        assert list(together.rows["train/lr"].dropna()) == list(alone.rows["train/lr"].dropna())


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[Trained, Trained]:
    root = tmp_path_factory.mktemp("pair")
    chosen = [
        (*overrides, "signals.histograms_every=10", "signals.per_parameter=true")
        for overrides in members(23, *MODELS["mixed_mlp"], "batch_size=50")[:2]
    ]
    return stacked(root, *chosen)[1], trained(root, *chosen[1])


def test_a_stacked_run_has_the_same_files(pair):
    def files(run: Trained) -> list[str]:
        names = (str(p.relative_to(run.directory)) for p in run.directory.rglob("*"))
        return sorted(name.split(".tfevents")[0] for name in names)

    assert files(pair[0]) == files(pair[1])


def test_a_stacked_run_has_the_same_events(pair):
    kinds = ("scalars", "tensors")
    seen = []
    for run in pair:
        events = EventAccumulator(str(run.directory), size_guidance=dict.fromkeys(kinds, 0))
        events.Reload()
        tags = events.Tags()
        seen.append(
            {
                (kind, tag): [e.step for e in getattr(events, kind.capitalize())(tag)]
                for kind in kinds
                for tag in tags[kind]
            }
        )
    assert seen[0] == seen[1]
    assert any(kind == "tensors" and tag.startswith("grad/") for kind, tag in seen[0])


def test_a_stacked_run_has_a_record_with_the_same_keys(pair):
    stack, single = (json.loads((r.directory / "run.json").read_text()) for r in pair)
    assert stack.keys() == single.keys()
    assert stack["final"].keys() == single["final"].keys()
    assert stack["best"].keys() == single["best"].keys()
    for key in ("id", "status", "steps", "diverged_at", "config", "error", "schema"):
        assert stack[key] == single[key], key


def test_a_stacked_run_has_checkpoints_that_load_into_the_plain_module(pair):
    config = configured(*members(23, *MODELS["mixed_mlp"], "batch_size=50")[1])
    model = build_model(config, load_dataset(config))
    model.load_state_dict(pair[0].weights)
    assert largest_difference(pair[0], pair[1]) < 1e-12


class WithState(torch.nn.Module):
    """Batch normalisation with running statistics, and dropout."""

    def __init__(self, in_features: int, out_features: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.first = torch.nn.Linear(2 * in_features, 12)
        self.norm = torch.nn.BatchNorm1d(12)
        self.dropout = torch.nn.Dropout(0.3)
        self.last = torch.nn.Linear(12, out_features)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.view_as_real(x.flatten(1)).flatten(1)
        y: Tensor = self.last(self.dropout(self.norm(self.first(h)).relu()))
        return y


def test_running_statistics_and_random_masks_are_each_members_own(tmp_path, monkeypatch):
    def with_state(config, dataset):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = WithState(dataset.in_features, dataset.out_features, torch.complex128)
        return model.double()

    monkeypatch.setattr("cvtrain.training.task.build_model", with_state)
    chosen = [(*COMMON, "max_steps=25", "optimizer=sgd", f"seed={seed}") for seed in (4, 7, 4)]
    together = stacked(tmp_path, *chosen)
    for run, overrides in zip(together, chosen, strict=True):
        alone = trained(tmp_path, *overrides)
        assert largest_difference(run, alone) < 1e-12
        assert run.weights["norm.num_batches_tracked"] == 25
        assert_same_rows(run, alone, 1e-11)
    assert equal(together[0], together[2])
    assert not equal(together[0], together[1])
