"""A run that was stopped goes on from its checkpoint, with the bits of one that was not."""

from __future__ import annotations

import shutil
import signal
import zipfile
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cvtrain.config.point import Point
from cvtrain.process.errors import Interrupted
from cvtrain.process.signals import interruption
from cvtrain.runs.checkpoint import load_checkpoint, read_checkpoint
from cvtrain.runs.journal import Journal
from cvtrain.runs.run_json import RunRecord
from cvtrain.training.job import Job
from cvtrain.training.train import train
from tests.event_content import events, histogram_steps
from tests.training.test_stack_equals_single import WithState
from tests.training.trained_runs import configured

SHORT = (
    "model.hidden=[4]",
    "max_steps=24",
    "batch_size=16",
    "signals.validation_every=5",
    "signals.scalars_every=3",
    "checkpoint.every_n_steps=7",
)
OPTIMIZERS = (
    *("sgd", "sgd_momentum", "signsgd", "adam", "amsgrad", "adamw", "adamax", "nadam", "radam"),
    *("rmsprop", "adagrad", "adadelta", "rprop", "asgd", "lion", "muon", "lbfgs"),
)
# The states of the others are saved and restored alike (tests/optim/test_rule_optimizer.py).
CHOSEN = [
    pytest.param(
        name,
        marks=() if name in ("sgd_momentum", "adam", "asgd", "muon", "lbfgs") else pytest.mark.long,
    )
    for name in OPTIMIZERS
]


@pytest.fixture(autouse=True)
def no_signal_remains():
    yield
    interruption.requested = None


def points(*members: tuple[str, ...]) -> tuple[Point, ...]:
    return tuple(
        Point(number, configured(*SHORT, *overrides), overrides, f"run{number}")
        for number, overrides in enumerate(members)
    )


def stopped(job: Job, at: int) -> None:
    """Train until so many updates are made, as Ctrl-C would have it."""

    def progressed(step: int) -> None:
        if step == at:
            interruption.requested = signal.SIGINT

    with pytest.raises(Interrupted):
        train(job, progressed)
    interruption.requested = None


def began(job: Job) -> tuple[list[RunRecord], int]:
    """Train to the end; also the first update that was made."""
    seen: list[int] = []
    records = train(job, seen.append)
    return records, seen[0]


def assert_same(one: Path, other: Path) -> None:
    for name in ("last", "best"):
        path = f"checkpoints/{name}.ckpt"
        (a, a_step), (b, b_step) = load_checkpoint(one / path), load_checkpoint(other / path)
        assert a_step == b_step
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a)
    assert (one / "metrics.csv").read_bytes() == (other / "metrics.csv").read_bytes()
    assert events(one) == events(other)


class Killed(BaseException):
    """Leaves the files as `kill -9` does: nobody catches it, and nothing more is written."""


def killed(job: Job, at: int) -> None:
    """Train until so many updates are made, and no further."""

    def progressed(step: int) -> None:
        if step == at:
            raise Killed

    with pytest.raises(Killed):
        train(job, progressed)


def assert_goes_on(tmp_path: Path, job: Job, at: int = 10) -> None:
    whole, parted = (Job(job.points, tmp_path / name, job.engine) for name in "ab")
    expected = train(whole)
    stopped(parted, at)
    for point in job.points:
        content = Journal(parted.root).read(point.directory)
        assert (content["status"], content["steps"]) == ("interrupted", at)
        last = parted.root / point.directory / "checkpoints" / "last.ckpt"
        assert load_checkpoint(last)[1] == at
    records, first = began(parted)
    assert first == at + 1
    for point, record, other in zip(job.points, records, expected, strict=True):
        assert_same(whole.root / point.directory, parted.root / point.directory)
        assert record.status == other.status == "finished"
        assert record.final == pytest.approx(other.final, rel=0, abs=0, nan_ok=True)
        assert record.best == other.best
        assert record.steps == other.steps


@pytest.mark.parametrize("optimizer", CHOSEN)
def test_a_single_run_goes_on_with_the_same_bits(tmp_path, optimizer):
    fewer = ("optimizer.max_iter=4",) if optimizer == "lbfgs" else ()
    (point,) = points((f"optimizer={optimizer}", "scheduler=cosine", *fewer))
    assert_goes_on(tmp_path, Job((point,), tmp_path))


@pytest.mark.parametrize("engine", ["single", "stack"])
def test_a_signal_with_the_last_update_leaves_the_run_whole(tmp_path, engine):
    rates = ("optimizer.lr=0.2", "optimizer.lr=0.05")[: 2 if engine == "stack" else 1]
    members = points(*((rate,) for rate in rates))
    whole, signalled = (Job(members, tmp_path / name, engine) for name in "ab")
    expected = train(whole)
    stopped(signalled, members[0].config.max_steps)
    for point, record in zip(members, expected, strict=True):
        assert_same(whole.root / point.directory, signalled.root / point.directory)
        content = Journal(signalled.root).read(point.directory)
        assert (content["status"], content["best"]) == ("finished", record.best)
        assert content["final"].keys() == record.final.keys()


@pytest.mark.parametrize("engine", ["single", "stack"])
def test_averages_and_early_stopping_go_on_too(tmp_path, engine):
    common = ("optimizer=adam", "optimizer.lr=0.05", "ema.decay=0.5", "early_stopping.patience=1")
    rates = ("optimizer.lr=0.2", "optimizer.lr=0.05")[: 2 if engine == "stack" else 1]
    job = Job(points(*((*common, rate) for rate in rates)), tmp_path, engine)
    assert_goes_on(tmp_path, job)
    for point in job.points:
        a, b = (
            load_checkpoint(tmp_path / name / point.directory / "checkpoints" / "average.ckpt")[0]
            for name in "ab"
        )
        assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("optimizer", CHOSEN[:-1])  # L-BFGS has no stacked form
def test_a_stack_goes_on_with_the_same_bits(tmp_path, optimizer):
    members = [
        (f"optimizer={optimizer}", "scheduler=cosine", f"seed={seed}", f"objective.scale={scale}")
        for seed in (0, 1)
        for scale in (1, 0.5)
    ]
    assert_goes_on(tmp_path, Job(points(*members), tmp_path, "stack"))


@pytest.mark.parametrize("engine", ["single", "stack"])
@pytest.mark.parametrize(
    "more",
    [
        ("model=mlp", "model.normalisation=batch"),
        ("dtype=complex128", "signals.histograms_every=4", "batch_size=null"),
        ("clip=norm", "clip.threshold=0.5", "convention=wirtinger", "scheduler=warmup"),
    ],
    ids=["batch norm", "histograms", "clipping"],
)
def test_what_training_depends_on_is_in_the_checkpoint(tmp_path, engine, more):
    members = [(*more, "optimizer=adam", f"seed={seed}") for seed in range(3)]
    chosen = points(*members) if engine == "stack" else points(members[0])
    assert_goes_on(tmp_path, Job(chosen, tmp_path, engine))


@pytest.mark.parametrize("engine", ["single", "stack"])
@pytest.mark.parametrize("accumulated", [1, 3])
def test_random_masks_and_running_statistics_go_on(tmp_path, monkeypatch, engine, accumulated):
    def with_state(config, dataset):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            return WithState(dataset.in_features, dataset.out_features, torch.complex64)

    monkeypatch.setattr("cvtrain.training.task.build_model", with_state)
    more = ("optimizer=adam", f"trainer.accumulate_grad_batches={accumulated}")
    members = [(*more, f"seed={seed}") for seed in range(3)]
    chosen = points(*members) if engine == "stack" else points(members[0])
    assert_goes_on(tmp_path, Job(chosen, tmp_path, engine))


class Lazy(WithState):
    def forward(self, x):
        if not hasattr(self, "factor"):
            self.register_buffer("factor", torch.tensor(1.0))
        self.factor = self.factor * 0.9
        return self.factor * super().forward(x)


def test_a_run_whose_forward_creates_buffers_begins_again(tmp_path, monkeypatch, caplog):
    def lazy(config, dataset):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            return Lazy(dataset.in_features, dataset.out_features, torch.complex64)

    monkeypatch.setattr("cvtrain.training.task.build_model", lazy)
    (point,) = points(("optimizer=adam",))
    whole, parted = (Job((point,), tmp_path / name) for name in "ab")
    train(whole)
    stopped(parted, 10)
    _, first = began(parted)
    assert first == 1
    assert "begins again" in caplog.text
    assert_same(whole.root / point.directory, parted.root / point.directory)


def test_a_member_that_diverged_before_does_not_begin_again(tmp_path):
    members = [("optimizer=sgd", f"optimizer.lr={lr}") for lr in (0.1, 1e12, 0.2)]
    job = Job(points(*members), tmp_path, "stack")
    assert_goes_on_without(tmp_path, job, ended=1)


@pytest.mark.parametrize(("every", "at"), [(1, 3), (1, 12), (4, 9), (4, 16), (4, 22)])
def test_what_ends_early_in_a_stack_that_is_killed_has_the_same_events(tmp_path, at, every):
    common = (f"signals.histograms_every={every}", "early_stopping.patience=1", "optimizer=adam")
    rates = (0.1, 0.3, 1e12, 0.02)
    members = [(*common, f"optimizer.lr={rate}", f"seed={k}") for k, rate in enumerate(rates)]
    whole, parted = (Job(points(*members), tmp_path / name, "stack") for name in "ab")
    records = train(whole)
    assert [record.stopped_at for record in records] == [None, 5, None, None]
    assert [record.diverged_at is None for record in records] == [True, True, False, True]
    for record, point in zip(records, whole.points, strict=True):
        drawn = histogram_steps(whole.root / point.directory)
        ended = record.steps + (record.diverged_at is not None)
        assert drawn == list(range(0, ended, every))
    killed(parted, at)
    train(parted)
    for point in whole.points:
        assert_same(whole.root / point.directory, parted.root / point.directory)


def assert_goes_on_without(tmp_path: Path, job: Job, ended: int) -> None:
    whole, parted = (Job(job.points, tmp_path / name, "stack") for name in "ab")
    train(whole)
    stopped(parted, 10)
    survivors = tuple(point for number, point in enumerate(job.points) if number != ended)
    _, first = began(Job(survivors, parted.root, "stack"))
    assert first == 11
    for point in job.points:
        assert_same(whole.root / point.directory, parted.root / point.directory)


def test_runs_at_different_steps_go_on_each_from_its_own(tmp_path):
    members = [("optimizer=adam", f"seed={seed}") for seed in range(4)]
    whole = Job(points(*members), tmp_path / "a", "stack")
    train(whole)
    parted = Job(whole.points, tmp_path / "b", "stack")
    stopped(Job(whole.points[:2], parted.root, "stack"), 9)
    stopped(Job(whole.points[2:3], parted.root, "stack"), 12)
    steps: list[int] = []
    train(parted, steps.append)
    firsts = [step for before, step in zip([0, *steps], steps, strict=False) if step != before + 1]
    assert {steps[0], *firsts} == {1, 10, 13}
    for point in whole.points:
        assert_same(whole.root / point.directory, parted.root / point.directory)


@pytest.fixture(scope="module")
def whole_and_stopped(tmp_path_factory) -> tuple[Job, Job]:
    """A run to the end, and one that was stopped after ten updates."""
    root = tmp_path_factory.mktemp("adam")
    whole, parted = (Job(points(("optimizer=adam",)), root / name) for name in "ab")
    train(whole)
    stopped(parted, 10)
    return whole, parted


@pytest.fixture
def halves(whole_and_stopped, tmp_path) -> tuple[Job, Job]:
    """The same, of which the stopped one is a copy to be gone on with."""
    whole, parted = whole_and_stopped
    shutil.copytree(parted.root, tmp_path / "b")
    return whole, Job(parted.points, tmp_path / "b")


def test_what_was_written_after_the_checkpoint_is_cut_off(halves):
    whole, parted = halves
    (point,) = parted.points
    directory = parted.root / point.directory
    (events,) = directory.glob("events*")
    for path in (directory / "metrics.csv", events):
        with path.open("ab") as file:
            file.write(b"17,half a r")
    began(parted)
    assert_same(whole.root / point.directory, directory)
    scalars = []
    for run in (whole.root / point.directory, directory):
        accumulator = EventAccumulator(str(run), size_guidance={"scalars": 0}).Reload()
        scalars.append(
            {
                tag: [(event.step, event.value) for event in accumulator.Scalars(tag)]
                for tag in accumulator.Tags()["scalars"]
            }
        )
    assert scalars[0] == scalars[1]


def spoil_checksum(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
        inside = archive.read(largest)
    content = path.read_bytes()
    middle = content.index(inside) + len(inside) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])


def spoil_shape(path: Path) -> None:
    content = read_checkpoint(path)
    weights = content["state_dict"]
    name = next(iter(weights))
    weights[name] = weights[name][:1]
    torch.save(content, path)


def spoil_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        spoil_checksum,
        spoil_shape,
        lambda path: (path.parent.parent / "metrics.csv").write_bytes(b"step"),
        lambda path: spoil_byte(path.parent.parent / "metrics.csv"),
        lambda path: spoil_byte(next(path.parent.parent.glob("events.*"))),
    ],
    ids=[
        *("empty", "torn", "bit flipped", "other shape", "metrics.csv cut short"),
        *("byte of metrics.csv changed", "byte of an event file changed"),
    ],
)
def test_a_checkpoint_that_cannot_be_used_costs_what_was_trained_and_no_more(halves, caplog, spoil):
    whole, parted = halves
    (point,) = parted.points
    spoil(parted.root / point.directory / "checkpoints" / "last.ckpt")
    _, first = began(parted)
    assert first == 1
    assert "begins again" in caplog.text
    assert_same(whole.root / point.directory, parted.root / point.directory)
