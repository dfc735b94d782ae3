"""The rows of many runs: each run's files are what they would be if it trained alone."""

from __future__ import annotations

import csv
import itertools
import math
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams import plugin_data_pb2
from torch import Tensor

from cvtrain.runs import writer as module
from cvtrain.runs.writer import FLUSH_AFTER, FLUSH_EVERY, RunWriter

STEPS = FLUSH_EVERY + 3
LATER = "test/loss"


def directories(root: Path, runs: int) -> list[Path]:
    return [root / str(run) for run in range(runs)]


def event_file(directory: Path) -> Path:
    (path,) = directory.glob("events.out.tfevents.*")
    return path


def lines(directory: Path) -> list[str]:
    return (directory / "metrics.csv").read_text().splitlines()


def signals(step: int, runs: int) -> dict[str, Tensor]:
    """Signals of three dtypes, unequal for all runs and steps, some of them not finite."""
    generator = torch.Generator().manual_seed(step)
    single = torch.randn(64, generator=generator)
    double = torch.randn(64, generator=generator, dtype=torch.float64)
    single[step % 5], double[(step + 1) % 5] = torch.nan, -torch.inf
    count = torch.arange(64) + step
    tensors = {"a": single, "b,comma": double, "count": count, "c": single * 1e30}
    return {tag: values[:runs] for tag, values in tensors.items()}


def record(recorder: RunWriter, members: list[int]) -> None:
    """Write everything that a recorder takes, for these of five runs."""

    def of(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {tag: column[members] for tag, column in values.items()}

    recorder.expect([LATER])
    for index, member in enumerate(members):
        recorder.declare(index, {"lr": 0.1 * member, "seed": float(member)})
    for step in range(STEPS):
        lasting = [index for index, member in enumerate(members) if member != 3 or step < 4]
        recorder.write(step, of(signals(step, 5)), lasting)
        if step % 4 == 0:
            entries = torch.arange(60.0).reshape(5, 3, 4)
            recorder.histograms(step, of({"w": entries}))
    recorder.write(STEPS, of({"a": torch.ones(5), LATER: torch.arange(5.0)}))
    recorder.close([member != 3 for member in members])


def test_a_runs_files_do_not_depend_on_the_runs_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1e9)
    together = RunWriter(directories(tmp_path / "stack", 5))
    record(together, [0, 1, 2, 3, 4])
    for run in range(5):
        alone = RunWriter([tmp_path / "alone" / str(run)])
        record(alone, [run])
        of_stack, of_run = tmp_path / "stack" / str(run), tmp_path / "alone" / str(run)
        assert (of_stack / "metrics.csv").read_bytes() == (of_run / "metrics.csv").read_bytes()
        assert event_file(of_stack).read_bytes() == event_file(of_run).read_bytes()
        np.testing.assert_equal(together.final[run], alone.final[0])
    contents = {event_file(path).read_bytes() for path in (tmp_path / "stack").iterdir()}
    assert len(contents) == 5


def test_without_tensorboard_the_rest_is_the_same(tmp_path):
    with_boards = RunWriter(directories(tmp_path / "with", 5))
    without = RunWriter(directories(tmp_path / "without", 5), tensorboard=False)
    for recorder in (with_boards, without):
        record(recorder, [0, 1, 2, 3, 4])
    np.testing.assert_equal(without.final, with_boards.final)
    for run in map(str, range(5)):
        assert lines(tmp_path / "without" / run) == lines(tmp_path / "with" / run)
        assert [path.name for path in (tmp_path / "without" / run).iterdir()] == ["metrics.csv"]
    (snapshot, *_) = without.recorded()
    assert list(snapshot.files) == ["metrics.csv"]


def test_tensorboard_reads_the_numbers_of_metrics_csv_to_float32(tmp_path):
    record(RunWriter(directories(tmp_path, 5)), [0, 1, 2, 3, 4])
    for directory in directories(tmp_path, 5):
        with (directory / "metrics.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == (5 if directory.name == "3" else STEPS + 1)
        accumulator = EventAccumulator(str(directory), size_guidance={"scalars": 0, "tensors": 0})
        accumulator.Reload()
        assert sorted(accumulator.Tags()["scalars"]) == ["a", "b,comma", "c", "count", LATER]
        assert len(accumulator.Tensors("w")) == -(-STEPS // 4)
        for tag in accumulator.Tags()["scalars"]:
            cells = {int(row["step"]): np.float32(row[tag]) for row in rows if row[tag]}
            events = {event.step: np.float32(event.value) for event in accumulator.Scalars(tag)}
            np.testing.assert_equal(events, cells)


def test_more_runs_than_open_files_are_recorded_without_threads(tmp_path):
    program = """
        import os, resource, sys, threading
        from pathlib import Path
        import torch
        from cvtrain.runs.writer import RunWriter

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        threads, files = threading.active_count(), len(os.listdir("/dev/fd"))
        recorder = RunWriter([Path(sys.argv[1]) / str(run) for run in range(1100)])
        for step in range(2):
            recorder.write(step, {"x": torch.arange(1100.0) + step})
            recorder.flush()
            assert threading.active_count() == threads
            assert len(os.listdir("/dev/fd")) == files
        recorder.close([True] * 1100)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for run in range(1100):
        assert lines(tmp_path / str(run)) == ["step,x", f"0,{run}.0", f"1,{run + 1}.0"]
    events = list(EventFileLoader(str(event_file(tmp_path / "1099"))).Load())
    assert [event.step for event in events[1:3]] == [0, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_becomes_of_a_signals_tensor_later_changes_no_row(tmp_path, dtype):
    recorder = RunWriter(directories(tmp_path, 2))
    weight = torch.ones(2, dtype=dtype)
    recorder.write(
        0, {"w": weight, "half": (weight / 2).requires_grad_(), "view": weight[:1].expand(2)}
    )
    weight += 5
    recorder.write(1, {"w": weight})
    weight.zero_()
    assert recorder.final == [{"w": 6.0, "half": 0.5, "view": 1.0}] * 2
    assert lines(tmp_path / "1") == ["step,w,half,view", "0,1.0,0.5,1.0", "1,6.0,,"]


def test_a_count_beside_float32_signals_is_not_rounded_to_them(tmp_path):
    recorder = RunWriter([tmp_path])
    recorder.write(0, {"x": torch.ones(1), "count": torch.tensor([2**24 + 1])})
    recorder.close([True])
    written = (tmp_path / "metrics.csv").read_bytes()
    assert written == b"step,x,count\r\n0,1.0,16777217.0\r\n"


def test_a_retry_replaces_what_the_first_attempt_recorded(tmp_path):
    first = RunWriter(directories(tmp_path, 2))
    for step in range(3):
        first.write(step, {"old": torch.zeros(2)})
    first.close([False, False])
    (tmp_path / "0" / "run.json").write_text("{}")
    second = RunWriter(directories(tmp_path, 2))
    assert [path.name for path in (tmp_path / "0").iterdir()] == ["run.json"]
    second.write(0, {"new": torch.ones(2)})
    second.close([True, True])
    for directory in directories(tmp_path, 2):
        assert lines(directory) == ["step,new", "0,1.0"]
        events = list(EventFileLoader(str(event_file(directory))).Load())
        assert [value.tag for event in events for value in event.summary.value] == [
            "new",
            "_hparams_/session_end_info",
        ]


def test_members_that_only_pad_the_stack_are_ignored(tmp_path):
    recorder = RunWriter(directories(tmp_path, 2))
    padded = torch.tensor([1.0, 2.0, 99.0, 98.0])
    recorder.write(0, {"x": padded})
    recorder.write(1, {"x": padded * 2}, [1, 2, 3])
    recorder.write(2, {"x": padded[:3]}, [0, 2])
    recorder.histograms(2, {"w": padded[:, None]})
    recorder.close([True, True])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]
    assert lines(tmp_path / "0") == ["step,x", "0,1.0", "2,1.0"]
    assert lines(tmp_path / "1") == ["step,x", "0,2.0", "1,4.0"]
    assert recorder.final == [{"x": 1.0}, {"x": 4.0}]


def test_rows_reach_the_files_by_number_and_by_time(tmp_path, monkeypatch):
    now = 0.0
    monkeypatch.setattr(module, "monotonic", lambda: now)
    recorder = RunWriter([tmp_path])
    steps = itertools.count()

    def written_after(rows: int) -> int:
        for _ in range(rows):
            recorder.write(next(steps), {"x": torch.zeros(1)})
        return len(lines(tmp_path)) - 1 if (tmp_path / "metrics.csv").exists() else 0

    assert written_after(FLUSH_EVERY - 1) == 0
    assert written_after(1) == FLUSH_EVERY
    now += FLUSH_AFTER * 0.9
    assert written_after(1) == FLUSH_EVERY
    now += FLUSH_AFTER * 0.2
    assert written_after(1) == FLUSH_EVERY + 2
    recorder.write(next(steps), {"x": torch.zeros(1)})
    recorder.histograms(0, {"w": torch.zeros(1, 2)})
    assert written_after(0) == FLUSH_EVERY + 2
    now += FLUSH_AFTER
    recorder.histograms(1, {"w": torch.zeros(1, 2)})
    assert written_after(0) == FLUSH_EVERY + 3


def test_the_last_values_are_right_whenever_they_are_read(tmp_path):
    recorder = RunWriter(directories(tmp_path, 2))
    assert recorder.final == [{}, {}]
    recorder.write(0, {"x": torch.tensor([1.0, 2.0]), "y": torch.tensor([3, 4])})
    assert recorder.final == [{"x": 1.0, "y": 3.0}, {"x": 2.0, "y": 4.0}]
    assert lines(tmp_path / "0") == ["step,x,y", "0,1.0,3.0"]
    recorder.write(1, {"x": torch.tensor([5.0, 6.0])}, [1])
    assert recorder.final == [{"x": 1.0, "y": 3.0}, {"x": 6.0, "y": 4.0}]
    recorder.write(2, {"x": torch.tensor([7.0, 8.0])}, [0])
    recorder.close([True, True])
    assert recorder.final == [{"x": 7.0, "y": 3.0}, {"x": 6.0, "y": 4.0}]


def test_an_event_has_the_time_its_row_was_written_and_the_order_of_steps(tmp_path, monkeypatch):
    now = 1e9
    monkeypatch.setattr("time.time", lambda: now)
    recorder = RunWriter([tmp_path])
    for step in range(3):
        now += 10.0
        recorder.write(step, {"x": torch.zeros(1)})
        recorder.histograms(step, {"w": torch.zeros(1, 2)} if step == 1 else {})
    now += 1000.0
    recorder.flush()
    events = list(EventFileLoader(str(event_file(tmp_path))).Load())[1:]
    written = [(event.wall_time - 1e9, event.step, event.summary.value[0].tag) for event in events]
    assert written == [(10.0, 0, "x"), (20.0, 1, "x"), (20.0, 1, "w"), (30.0, 2, "x")]


def test_a_row_with_an_unknown_column_or_too_few_runs_is_refused_whole(tmp_path):
    recorder = RunWriter(directories(tmp_path, 3))
    for short in (torch.zeros(2), torch.tensor(0.0)):
        with pytest.raises(ValueError, match="for 3 runs"):
            recorder.write(0, {"nowhere": short})
    recorder.write(0, {"x": torch.zeros(3)})
    with pytest.raises(KeyError, match="no column nowhere"):
        recorder.write(1, {"x": torch.zeros(3), "nowhere": torch.zeros(3)})
    recorder.close([True] * 3)
    assert lines(tmp_path / "2") == ["step,x", "0,0.0"]


def test_a_device_that_failed_does_not_hide_what_ended_the_runs(tmp_path, caplog, monkeypatch):
    # A slow machine would fetch the row before it is closed.
    monkeypatch.setattr("cvtrain.runs.writer.FLUSH_AFTER", math.inf)
    recorder = RunWriter([tmp_path])
    recorder.write(0, {"x": torch.ones(1)})
    recorder.flush()
    # A tensor without data cannot be fetched, as none can from a device that failed.
    recorder.write(1, {"x": torch.ones(1, device="meta")})
    recorder.close([False])
    assert "the last rows are lost" in caplog.text
    assert lines(tmp_path) == ["step,x", "0,1.0"]
    *_, last = EventFileLoader(str(event_file(tmp_path))).Load()
    content = last.summary.value[0].metadata.plugin_data.content
    assert plugin_data_pb2.HParamsPluginData.FromString(content).session_end_info.status == 2

    recorder.write(2, {"x": torch.ones(1, device="meta")})
    with pytest.raises(RuntimeError):
        recorder.close([True])


def test_a_row_of_some_runs_has_the_values_of_those_runs(tmp_path):
    directories = [tmp_path / str(run) for run in range(4)]
    recorder = RunWriter(directories)
    recorder.write(0, {"a": torch.arange(4.0), "b": torch.arange(4) * 10})
    recorder.write(1, {"a": torch.arange(4.0) + 0.5, "b": torch.arange(4) * 10 + 1}, [1, 3])
    final = recorder.final
    assert final == [
        {"a": 0.0, "b": 0.0},
        {"a": 1.5, "b": 11.0},
        {"a": 2.0, "b": 20.0},
        {"a": 3.5, "b": 31.0},
    ]
    recorder.close([True] * 4)
    rows = [(directory / "metrics.csv").read_text().split() for directory in directories]
    assert rows[0][1:] == ["0,0.0,0.0"]
    assert rows[3][1:] == ["0,3.0,30.0", "1,3.5,31.0"]


def test_runs_that_go_on_keep_the_columns_that_they_began_with(tmp_path):
    begun = RunWriter([tmp_path])
    begun.write(0, {"a": torch.tensor([1.0])})
    again = RunWriter([tmp_path], begun.recorded())
    again.write(1, {"a": torch.tensor([2.0]), "of/a_later_version": torch.tensor([3.0])})
    again.close([True])
    assert lines(tmp_path) == ["step,a", "0,1.0", "1,2.0"]
