"""Event files as TensorBoard would write them itself."""

from __future__ import annotations

import io
import math
import re

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from cvtrain.process.errors import FilesChanged
from cvtrain.runs.files import AppendedFile
from cvtrain.runs.tensorboard.events import EventFile, framed, scalar_events

EDGES = (0.0, -0.0, 0.1, 1e-300, 1e300, -1e300, 3.4028235e38, math.inf, -math.inf, math.nan)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 1500])
def test_a_record_has_the_frame_of_tensorboards_own_writer(size):
    record = np.random.default_rng(size).bytes(size)
    file = io.BytesIO()
    RecordWriter(file).write(record)
    assert framed(record) == file.getvalue()


@pytest.mark.parametrize("tags", [("a",), ("val/loss", "ü" * 70, "x" * 200, ""), ()])
@pytest.mark.parametrize("step", [0, 1, 300, 2**40])
def test_an_event_of_a_stack_is_the_one_a_run_alone_would_have(tags, step):
    values = np.resize(EDGES, (len(tags), 7))
    events = scalar_events(step, 12.5, tags, values)
    assert len(events) == 7
    for run, event in enumerate(events):
        content = [
            Summary.Value(tag=tag, simple_value=float(value))
            for tag, value in zip(tags, values[:, run], strict=True)
        ]
        alone = Event(step=step, wall_time=12.5, summary=Summary(value=content))
        assert event == alone.SerializeToString()


def test_an_event_file_begins_with_its_version_and_names_sort_by_age(tmp_path, monkeypatch):
    now = 999_999_999.5
    monkeypatch.setattr("time.time", lambda: now)
    old = EventFile(tmp_path)
    now += 1
    new = EventFile(tmp_path)
    new.flush()
    old.flush()
    older, newer = sorted(tmp_path.iterdir())
    pattern = r"events\.out\.tfevents\.(\d{10})\..+\.\d+\.\d+"
    seconds = [re.fullmatch(pattern, path.name)[1] for path in (older, newer)]
    assert seconds == ["0999999999", "1000000000"]
    (first,) = EventFileLoader(str(older)).Load()
    assert (first.file_version, first.wall_time) == ("brain.Event:2", 999_999_999.5)


def test_a_file_is_replaced_once_and_then_grows(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"older")
    file = AppendedFile(path)
    file.flush()
    assert path.read_bytes() == b"older"
    for content in (b"a", b"b"):
        file.append(content)
        file.append(content)
        file.flush()
    assert path.read_bytes() == b"aabb"


def test_what_could_not_be_written_is_not_written_later(tmp_path):
    file = AppendedFile(tmp_path / "absent" / "file")
    file.append(b"lost")
    with pytest.raises(FilesChanged, match="was removed"):
        file.flush()
    (tmp_path / "absent").mkdir()
    file.append(b"kept")
    file.flush()
    assert (tmp_path / "absent" / "file").read_bytes() == b"kept"


def test_a_file_of_a_clock_that_went_back_still_sorts_after_the_earlier_ones(tmp_path, monkeypatch):
    names = []
    for now in (1_000_000_000.0, 1_000_000_000.5, 999_999_990.0):
        monkeypatch.setattr("time.time", lambda now=now: now)
        before = set(tmp_path.iterdir())
        EventFile(tmp_path).flush()
        (made,) = set(tmp_path.iterdir()) - before
        names.append(made.name)
    assert names == sorted(names)
    assert [name.split(".")[3] for name in names] == ["1000000000", "1000000001", "1000000002"]
