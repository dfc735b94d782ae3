"""What holds bit for bit in a stack: independence of its size and members, and the laws."""

from __future__ import annotations

import logging
from itertools import cycle

import pytest
import torch

from cvtrain import configure
from cvtrain.data.load import load_dataset
from cvtrain.models.stacked.network import StackedNetwork
from cvtrain.runs.checkpoint import load_checkpoint
from cvtrain.training.network import build_model
from cvtrain.training.stack import Stack, alignment
from cvtrain.training.task import Task
from tests.training.trained_runs import Trained, equal, stacked, trained

# 1078 samples: the sixteenth batch of 70 is a partial one.
COMMON = (
    "max_steps=18",
    "batch_size=70",
    "signals.histograms_every=0",
    "signals.scalars_every=5",
    "signals.validation_every=10",
)
NETWORKS = {
    "mixed_mlp": ("model=mixed_mlp", "model.hidden=[13]"),
    "mlp": ("model=mlp", "model.hidden=[13,7]"),
}


def member(number: int, *common: str) -> tuple[str, ...]:
    rate, scale = 0.01 * (1 + number % 7), (1, 0.5, 0.3)[number % 3]
    convention = ("pytorch", "wirtinger", "unconjugated")[number % 4 % 3]
    return (
        *COMMON,
        *common,
        f"optimizer.lr={rate}",
        f"objective.scale={scale}",
        f"convention={convention}",
        f"seed={number % 5}",
    )


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # stacks are multiples of 8
    yield
    torch.set_num_threads(threads)


def same_files(left: Trained, right: Trained) -> bool:
    texts = [(run.directory / "metrics.csv").read_text() for run in (left, right)]
    best = [load_checkpoint(run.directory / "checkpoints" / "best.ckpt") for run in (left, right)]
    alike = all(torch.equal(best[0][0][name], best[1][0][name]) for name in best[0][0])
    return equal(left, right) and texts[0] == texts[1] and alike and best[0][1] == best[1][1]


@pytest.mark.parametrize("dtype", ["complex64", pytest.param("complex128", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("network", "clip"),
    [
        ("mixed_mlp", "norm"),
        ("mlp", "modulus"),
        pytest.param("mlp", "none", marks=pytest.mark.long),
        pytest.param("mixed_mlp", "none", marks=pytest.mark.long),
        pytest.param("mlp", "norm", marks=pytest.mark.long),
        pytest.param("mixed_mlp", "modulus", marks=pytest.mark.long),
    ],
)
def test_a_runs_bits_do_not_depend_on_its_stack(tmp_path, network, clip, dtype):
    common = (*NETWORKS[network], f"clip={clip}", f"dtype={dtype}", "optimizer=adam")
    chosen = [member(number, *common) for number in range(41)]
    everyone = stacked(tmp_path, *chosen)
    (alone,) = stacked(tmp_path, chosen[3])
    assert same_files(alone, everyone[3])
    for size, shift in ((5, 0), (29, 11)):
        fewer = stacked(tmp_path, *chosen[shift : shift + size])
        assert all(same_files(run, everyone[shift + k]) for k, run in enumerate(fewer)), size
    order = torch.randperm(29, generator=torch.Generator().manual_seed(1)).tolist()
    shuffled = stacked(tmp_path, *[chosen[number] for number in order])
    assert all(same_files(run, everyone[k]) for k, run in zip(order, shuffled, strict=True))


def test_nor_on_the_number_of_threads(tmp_path, one_thread):
    chosen = [member(number, *NETWORKS["mlp"]) for number in range(11)]
    with_one = stacked(tmp_path, *chosen)
    torch.set_num_threads(2)
    with_two = stacked(tmp_path, *chosen)
    assert all(same_files(a, b) for a, b in zip(with_one, with_two, strict=True))


DATA = {
    "digits": ("data=digits_fft", "model=mixed_mlp", "model.hidden=[13]"),
    "equalizer": ("data=equalizer", "model=mlp", "model.hidden=[7]", "objective=complex_mse"),
    "system": ("data=system_id", "model=linear", "objective=complex_mse"),
}


@pytest.mark.parametrize("data", DATA)
def test_nor_on_whether_others_have_the_same_data(tmp_path, data):
    chosen = [
        (*member(number, *DATA[data]), f"data.seed={number % 3}", "early_stopping.patience=1")
        for number in range(11)
    ]
    mixed = stacked(tmp_path, *chosen)
    for draw in range(3):
        of_draw = range(draw, 11, 3)
        alike = stacked(tmp_path, *[chosen[number] for number in of_draw])
        assert all(same_files(run, mixed[k]) for k, run in zip(of_draw, alike, strict=True))
        for run, number in zip(alike, of_draw, strict=True):
            assert run.record.untrained_loss == mixed[number].record.untrained_loss
    assert not equal(mixed[0], mixed[5])


LAWS = {
    "sgd": ((), "optimizer.lr=0.25", ()),
    "sgd_momentum": (
        ("optimizer.weight_decay=0.01", "optimizer.nesterov=true"),
        "optimizer.lr=0.25",
        ("optimizer.weight_decay=0.005",),
    ),
    "adam": (("optimizer.eps=1e-4",), "optimizer.lr=0.125", ("optimizer.eps=5e-5",)),
    "amsgrad": (("optimizer.eps=1e-4",), "optimizer.lr=0.125", ("optimizer.eps=5e-5",)),
    "adamw": (("optimizer.eps=1e-4",), "optimizer.lr=0.125", ("optimizer.eps=5e-5",)),
    "rmsprop": (
        ("optimizer.eps=1e-4", "optimizer.momentum=0.5"),
        "optimizer.lr=0.125",
        ("optimizer.eps=5e-5",),
    ),
    "adagrad": (
        ("optimizer.eps=1e-4", "optimizer.initial_accumulator_value=0.01"),
        "optimizer.lr=0.125",
        ("optimizer.eps=5e-5", "optimizer.initial_accumulator_value=0.0025"),
    ),
}


@pytest.mark.parametrize(
    ("optimizer", "dtype"), [*zip(LAWS, cycle(["complex64", "complex128"]), strict=False)]
)
def test_half_the_objective_is_absorbed_between_two_points_of_a_stack(tmp_path, optimizer, dtype):
    common, rate, mapped = LAWS[optimizer]
    whole = (*COMMON, f"dtype={dtype}", f"optimizer={optimizer}", "optimizer.lr=0.125", *common)
    halved = (*whole, "objective.scale=0.5", rate, *mapped)
    unmapped = (*whole, "objective.scale=0.5", "optimizer.lr=0.2")
    runs = stacked(tmp_path, whole, unmapped, halved)
    assert equal(runs[0], runs[2])
    assert not equal(runs[0], runs[1])


def test_complex_only_halving_is_not_absorbed_in_a_mixed_network(tmp_path):
    whole = (*COMMON, "optimizer.lr=0.125")
    runs = stacked(tmp_path, whole, (*whole, "convention=wirtinger", "optimizer.lr=0.25"))
    assert not equal(*runs)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_neighbour_that_diverges_changes_nothing(tmp_path, optimizer):
    common = ("model=mlp", "model.hidden=[13]", f"optimizer={optimizer}")
    # Overflows within a few steps; the single engine ends it, the stack goes on around it.
    explosive = (*member(3, *common), "optimizer.lr=1e30")
    healthy = [member(number, *common) for number in range(6)]
    with_diverging = stacked(tmp_path, *healthy[:3], explosive, *healthy[3:])
    without = stacked(tmp_path, *healthy)
    frozen = with_diverging.pop(3)
    assert all(same_files(a, b) for a, b in zip(with_diverging, without, strict=True))
    alone = trained(tmp_path, *explosive)
    assert frozen.record.status == alone.record.status == "diverged"
    assert frozen.record.diverged_at == alone.record.diverged_at == frozen.record.steps
    assert list(frozen.rows.columns) == list(alone.rows.columns)
    assert list(frozen.rows.index) == list(alone.rows.index)
    assert frozen.rows.isna().equals(alone.rows.isna())
    assert all(weight.isfinite().all() for weight in frozen.weights.values())
    for name, weight in alone.weights.items():
        torch.testing.assert_close(frozen.weights[name], weight, rtol=1e-3, atol=1e-6)


def test_a_stack_in_which_all_diverge_ends_early(tmp_path):
    runs = stacked(tmp_path, *[(*member(k), "optimizer.lr=1e30") for k in range(3)])
    assert {run.record.status for run in runs} == {"diverged"}
    assert all(run.record.steps < 18 for run in runs)


def test_a_stack_too_large_for_memory_is_trained_in_halves_with_the_same_bits(
    tmp_path, monkeypatch, caplog, one_thread
):
    on_cuda = torch.OutOfMemoryError("CUDA out of memory")
    on_host = RuntimeError("[enforce fail at alloc_cpu.cpp:130] DefaultCPUAllocator: not enough")
    errors = cycle([on_cuda, on_host])
    chosen = [member(number) for number in range(27)]
    reference = stacked(tmp_path, *chosen)
    sizes = []
    original = Stack.__init__

    def limited(self, configs, *arguments):
        sizes.append(len(configs))
        if len(configs) > 9:
            raise next(errors)
        original(self, configs, *arguments)

    monkeypatch.setattr(Stack, "__init__", limited)
    with caplog.at_level(logging.WARNING):
        halved = stacked(tmp_path, *chosen)
    assert sizes == [27, 13, 6, 7, 14, 7, 7]
    assert "27 runs do not fit into memory at once; they are trained in halves" in caplog.text
    assert all(same_files(a, b) for a, b in zip(reference, halved, strict=True))
    assert [run.record.stack_size for run in halved] == [6] * 6 + [7] * 21


def test_runs_that_fit_into_no_stack_are_trained_one_by_one(tmp_path, monkeypatch, caplog):
    def refusing(self, configs, *arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Stack, "__init__", refusing)
    runs = stacked(tmp_path, *[member(number) for number in range(3)])
    assert [run.record.engine for run in runs] == ["single"] * 3
    assert [run.record.status for run in runs] == ["finished"] * 3
    assert "3 runs do not fit into memory at once; they are trained one by one" in caplog.text


def test_memory_that_runs_out_in_mid_training_leaves_no_trace(tmp_path, monkeypatch, one_thread):
    chosen = [member(number) for number in range(12)]
    reference = stacked(tmp_path, *chosen)
    original = Stack.batch_losses

    def failing(self, batch):
        if batch == 12 and len(set(map(str, self._configs))) > 6:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(self, batch)

    monkeypatch.setattr(Stack, "batch_losses", failing)
    halved = stacked(tmp_path, *chosen)
    assert all(same_files(a, b) for a, b in zip(reference, halved, strict=True))
    for run in halved:
        assert not (run.directory / "traceback.txt").exists()
        assert len(list(run.directory.glob("events.out.tfevents*"))) == 1


def test_a_failure_is_told_in_every_run_of_the_stack(tmp_path, monkeypatch):
    def failing(self, batch):
        raise RuntimeError("a loss of its own")

    monkeypatch.setattr(Stack, "batch_losses", failing)
    with pytest.raises(RuntimeError, match="of its own"):
        stacked(tmp_path, member(0), member(1))
    for directory in tmp_path.iterdir():
        assert "of its own" in (directory / "traceback.txt").read_text()
        assert '"status": "failed"' in (directory / "run.json").read_text()


def test_outputs_do_not_depend_on_the_place_in_a_stack(one_thread):
    config = configure("model=mlp", "model.hidden=[13,7]", "dtype=complex64")
    torch.set_num_threads(2)
    size, inputs = alignment(Task(config)), load_dataset(config).test.inputs
    assert size == (32 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 16)
    network = StackedNetwork([build_model(config, load_dataset(config))], [0] * size, [0] * size)
    outputs = network(inputs.expand(size, *inputs.shape))
    assert len(inputs) % 2 == 1, "odd sizes end within a vector"
    assert torch.equal(outputs, outputs[:1].expand_as(outputs))
