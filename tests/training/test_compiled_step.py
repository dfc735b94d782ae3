"""The compiled step of a stack: beside the eager one, its bits and laws, and when there is none."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from cvtrain.config.point import Point
from cvtrain.training import compiled_step, stack
from cvtrain.training.job import Job
from cvtrain.training.planes import NoRealForm
from cvtrain.training.real_program import real_program
from cvtrain.training.stacking import program_part
from cvtrain.training.train import train
from tests.training.trained_runs import (
    Trained,
    configured,
    equal,
    largest_difference,
    stacked,
    trained,
)

needs_compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="there is no C++ compiler"
)
SHORT = (
    "max_steps=6",
    "batch_size=16",
    "signals.histograms_every=0",
    "signals.scalars_every=2",
    "signals.validation_every=3",
)


@pytest.fixture
def traced(monkeypatch):
    """What is compiled runs as it is traced, on real and imaginary parts."""
    graphs = []
    monkeypatch.setattr(compiled_step, "inductor", lambda graph, _: graphs.append(graph) or graph)
    monkeypatch.setattr(stack, "_PROGRAMS", {})
    return graphs


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param("model=mlp optimizer=sgd", marks=pytest.mark.long),
        "model=mixed_mlp optimizer=sgd_momentum clip=norm convention=wirtinger",
        pytest.param(
            "model=mlp optimizer=adamw clip=modulus convention=unconjugated_wirtinger",
            marks=pytest.mark.long,
        ),
        "model=mlp optimizer=adam optimizer.semantics=modulus clip=split convention=unconjugated",
        pytest.param("model=real_mlp optimizer=adam", marks=pytest.mark.long),
        pytest.param(
            "model=mlp model.activation=CGELU optimizer=adagrad ema.decay=0.9",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "model=mlp model.activation=zReLU optimizer=rmsprop scheduler=cosine",
            marks=pytest.mark.long,
        ),
        "model=linear data=system_id objective=complex_mse dtype=complex128",
        pytest.param(
            "model=mlp data=equalizer objective=complex_huber objective.delta=0.5 optimizer=muon",
            marks=pytest.mark.long,
        ),
    ],
)
def test_on_parts_a_step_is_the_eager_one_up_to_rounding(tmp_path, traced, caplog, overrides):
    common = (*SHORT, *overrides.split())
    if "linear" not in overrides:
        common = (*common, "model.hidden=[5]")
    members = [(*common, f"seed={k}", f"optimizer.lr={2.0 ** -(6 + k)}") for k in range(2)]
    eager = stacked(tmp_path, *members)
    rewritten = stacked(tmp_path, *[(*member, "compile=true") for member in members])
    assert len(traced) == 1, caplog.text
    tolerance = 1e-11 if "complex128" in overrides else 2e-5
    for one, other in zip(eager, rewritten, strict=True):
        assert largest_difference(one, other) < tolerance
        assert one.rows.columns.tolist() == other.rows.columns.tolist()
        np.testing.assert_allclose(one.rows, other.rows, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ("model=mlp model.normalisation=batch", "the network has buffers"),
        ("model=mlp optimizer=radam", "data-dependent"),
    ],
)
def test_what_is_not_compiled_is_trained_eagerly_and_says_why(
    tmp_path, traced, caplog, overrides, reason
):
    common = (*SHORT, *overrides.split(), "model.hidden=[5]")
    (eager,) = stacked(tmp_path, common)
    (asked,) = stacked(tmp_path, (*common, "compile=true"))
    assert equal(eager, asked)
    assert len([line for line in caplog.messages if reason in line]) == 1


def test_a_program_that_computes_something_else_is_not_used(tmp_path, monkeypatch, caplog):
    def wrong(graph, _):
        return lambda *tensors: [tensor * 1.01 for tensor in graph(*tensors)]

    monkeypatch.setattr(compiled_step, "inductor", wrong)
    monkeypatch.setattr(stack, "_PROGRAMS", {})
    common = (*SHORT, "model=mlp", "model.hidden=[5]")
    (eager,) = stacked(tmp_path, common)
    (asked,) = stacked(tmp_path, (*common, "compile=true"))
    assert equal(eager, asked)
    assert "the loss differs by 0.0" in caplog.text


def test_random_masks_are_not_compiled_into_the_program(tmp_path, monkeypatch, traced, caplog):
    from cvtrain.training.task import Task

    class Masked(nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network, self.mask = network, nn.Dropout(0.5)

        def forward(self, x):
            return self.network(torch.complex(self.mask(x.real), self.mask(x.imag)))

    plain = Task.model
    monkeypatch.setattr(Task, "model", lambda self, *a, **k: Masked(plain(self, *a, **k)))
    common = (*SHORT, "model=mlp", "model.hidden=[5]")
    (eager,) = stacked(tmp_path, common)
    (asked,) = stacked(tmp_path, (*common, "compile=true"))
    assert equal(eager, asked)
    assert "the network draws random numbers" in caplog.text


@pytest.mark.parametrize(
    "function", [lambda z: z.exp(), lambda z: z.to(torch.float32), lambda z: z.real.to(z.dtype)[0]]
)
def test_no_imaginary_part_is_lost_without_a_word(function):
    z = torch.randn(3, dtype=torch.complex64)
    try:
        program = real_program(function, (z,))
    except NoRealForm:
        return
    (result,) = [program.results(program.graph(z.real, z.imag))]
    assert torch.equal(torch.complex(result.re, result.imag), function(z))


# With the compiler: one program for all of these.

COMPILED = (
    *("model=mixed_mlp", "model.hidden=[7]", "max_steps=9", "batch_size=70", "compile=true"),
    *("optimizer=sgd_momentum", "optimizer.weight_decay=0.01", "clip=norm"),
    *("signals.histograms_every=0", "signals.scalars_every=4", "signals.validation_every=4"),
)


def compiled_member(number: int) -> tuple[str, ...]:
    """Members 2n and 2n + 1 are twins by the law of SGD with momentum and clipping."""
    c = (1.0, 0.5)[number % 2]
    rate, threshold = 2.0 ** -(2 + number // 2 % 4), (0.5, 2.0, 100.0)[number // 2 % 3]
    return (
        *COMPILED,
        f"seed={number // 2 % 5}",
        f"objective.scale={c}",
        f"optimizer.lr={rate / c}",
        f"optimizer.weight_decay={0.01 * c}",
        f"clip.threshold={threshold * c}",
        f"clip.eps={1e-6 * c}",
    )


def same_rows(one: Trained, other: Trained) -> bool:
    texts = [(run.directory / "metrics.csv").read_text() for run in (one, other)]
    return equal(one, other) and texts[0] == texts[1]


@pytest.fixture(scope="module")
def everyone(tmp_path_factory) -> list[Trained]:
    root = tmp_path_factory.mktemp("compiled")
    runs = stacked(root, *[compiled_member(number) for number in range(64)])
    assert len(stack._PROGRAMS[program_part(configured(*compiled_member(0)))]) == 1
    return runs


@needs_compiler
def test_the_law_holds_to_the_last_bit(everyone):
    assert [run.record.status for run in everyone] == ["finished"] * 64
    assert all(equal(everyone[k], everyone[k + 1]) for k in range(0, 64, 2))
    assert not equal(everyone[0], everyone[2])


@needs_compiler
def test_a_compiled_runs_bits_depend_on_no_other(tmp_path, everyone):
    for size, shift in ((5, 0), (29, 11), (37, 20)):
        fewer = stacked(tmp_path, *[compiled_member(shift + k) for k in range(size)])
        assert all(same_rows(run, everyone[shift + k]) for k, run in enumerate(fewer)), size


@needs_compiler
def test_it_was_compiled_and_is_the_single_run_up_to_rounding(tmp_path, everyone):
    eager = stacked(tmp_path, *[(*compiled_member(k), "compile=false") for k in range(4)])
    assert not any(equal(run, everyone[k]) for k, run in enumerate(eager))
    for number in (0, 3):
        alone = trained(tmp_path, *compiled_member(number))
        assert largest_difference(alone, everyone[number]) < 1e-4


@needs_compiler
def test_a_compiled_run_goes_on_with_the_same_bits(tmp_path, everyone):
    for at in (1, 5):
        root = tmp_path / str(at)
        root.mkdir()
        first = _points(f"pause_at={at}")
        assert [record.status for record in train(Job(first, root, "stack"))] == ["interrupted"] * 3
        train(Job(_points(), root, "stack"))
        for number, point in enumerate(first):
            assert same_rows(
                Trained(everyone[number].record, root / point.directory), everyone[number]
            )


def _points(*more: str) -> tuple[Point, ...]:
    return tuple(
        Point(k, configured(*compiled_member(k), *more), compiled_member(k), f"run{k}")
        for k in range(3)
    )


def test_a_stack_is_filled_up_to_whole_programs(monkeypatch):
    from cvtrain.training.task import Task

    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    sizes = [stack.alignment(Task(configured(f"compile={on}"))) for on in ("true", "false")]
    assert sizes == [16, 8]


def test_compile_is_true_or_false():
    from cvtrain.process.errors import InputError

    with pytest.raises(InputError, match=r"^compile=sometimes: should be"):
        configured("compile=sometimes")


def test_runs_from_before_the_key_keep_their_id():
    without, on = configured(), configured("compile=true")
    assert without.identity == configured("compile=false").identity != on.identity


def test_a_single_run_says_that_it_is_not_compiled_and_has_its_bits(tmp_path, caplog):
    compiled = trained(tmp_path, *SHORT, "model.hidden=[4]", "compile=true")
    assert "compile=true: the step of a single run is not compiled" in caplog.text
    assert equal(compiled, trained(tmp_path, *SHORT, "model.hidden=[4]"))
