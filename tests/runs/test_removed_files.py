"""Files that something else removes or changes while they are written: noticed, never made anew."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from cvtrain.process.errors import FilesChanged
from cvtrain.runs.files import AppendedFile
from cvtrain.runs.writer import RunWriter


def remove(path: Path) -> None:
    path.unlink()


def remove_directory(path: Path) -> None:
    shutil.rmtree(path.parent)


def replace_directory(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.mkdir()


def cut_off(path: Path) -> None:
    os.truncate(path, 3)


def replace_by_another(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"x" * path.stat().st_size)
    other.replace(path)


def add(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


CHANGES = [remove, remove_directory, replace_directory, cut_off, replace_by_another, add]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("continued", [False, True])
def test_a_file_that_is_not_the_one_that_was_written_takes_nothing_more(
    tmp_path, change, continued
):
    path = tmp_path / "run" / "file"
    path.parent.mkdir()
    path.write_bytes(b"older")
    file = AppendedFile(path, continued)
    file.append(b"rows")
    file.flush()
    file.verify()
    change(path)
    left = path.read_bytes() if path.exists() else None
    with pytest.raises(FilesChanged, match=r"removed|changed") as raised:
        file.verify()
    assert str(path) in str(raised.value)
    file.append(b"more")
    with pytest.raises(FilesChanged, match=r"removed|changed"):
        file.flush()
    assert (path.read_bytes() if path.exists() else None) == left


def test_a_copy_of_what_was_written_is_as_good(tmp_path):
    path = tmp_path / "file"
    file = AppendedFile(path)
    file.append(b"rows")
    file.flush()
    shutil.copy(path, tmp_path / "copy")
    (tmp_path / "copy").replace(path)
    file.append(b"more")
    file.flush()
    assert path.read_bytes() == b"rowsmore"


def written(recorder: RunWriter, steps: range) -> None:
    for step in steps:
        recorder.write(step, {"x": torch.arange(2.0) + step})


@pytest.mark.parametrize("pattern", ["metrics.csv", "events.out.tfevents.*"])
def test_a_run_whose_file_was_removed_is_lost_and_the_other_is_not(tmp_path, pattern):
    recorder = RunWriter([tmp_path / "0", tmp_path / "1"])
    written(recorder, range(3))
    recorder.flush()
    (path,) = (tmp_path / "0").glob(pattern)
    path.unlink()
    written(recorder, range(3, 6))
    recorder.flush()
    assert list(recorder.lost) == [0]
    assert str(path) in str(recorder.lost[0])
    assert not path.exists()
    assert not recorder.records([0])
    assert recorder.records([0, 1])
    recorder.close([False, True])
    rows = (tmp_path / "1" / "metrics.csv").read_text().splitlines()
    assert rows == ["step,x", *(f"{step},{step + 1.0}" for step in range(6))]


def test_a_file_that_was_removed_after_its_last_row_is_missed(tmp_path):
    recorder = RunWriter([tmp_path / "0", tmp_path / "1"])
    written(recorder, range(3))
    assert recorder.final
    (tmp_path / "0" / "metrics.csv").unlink()
    recorder.close([True, True])
    assert list(recorder.lost) == [0]


def test_an_event_file_of_an_earlier_attempt_is_missed(tmp_path):
    first = RunWriter([tmp_path])
    first.write(0, {"x": torch.zeros(1)})
    (earlier,) = first.recorded()
    (old,) = tmp_path.glob("events.out.tfevents.*")
    second = RunWriter([tmp_path], [earlier])
    second.write(1, {"x": torch.zeros(1)})
    second.flush()
    old.unlink()
    with pytest.raises(FilesChanged, match=old.name):
        second.recorded()


def test_runs_that_are_all_lost_train_for_nothing(tmp_path):
    recorder = RunWriter([tmp_path / "0", tmp_path / "1"])
    written(recorder, range(3))
    recorder.flush()
    for run in ("0", "1"):
        shutil.rmtree(tmp_path / run)
    written(recorder, range(3, 6))
    with pytest.raises(FilesChanged, match="was removed"):
        recorder.flush()
    recorder.close([False, False])
    assert list(tmp_path.iterdir()) == []
