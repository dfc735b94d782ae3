"""Files of a run directory: atomic, valid, complete."""

from __future__ import annotations

import csv
import errno
import json
import math
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import cvtrain
from cvtrain.config.point import Point
from cvtrain.process.errors import InputError
from cvtrain.runs.checkpoint import load_checkpoint, save_checkpoint
from cvtrain.runs.directory_lock import DirectoryLock, claim_directory
from cvtrain.runs.files import write_atomically
from cvtrain.runs.journal import Journal
from cvtrain.runs.json_file import write_json
from cvtrain.runs.metrics_csv import MetricsFile
from cvtrain.runs.tensorboard.writer import TensorBoardFile
from cvtrain.runs.writer import RunWriter


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "run.json"
    write_json(path, {"steps": 1})

    def half(file):
        file.write(b"{half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, half)
    assert json.loads(path.read_text()) == {"steps": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


def killed_while_it_writes(path: Path) -> None:
    program = (
        "import os, pathlib, sys; from cvtrain.runs.files import write_atomically;"
        "write_atomically(pathlib.Path(sys.argv[1]), lambda file: os.kill(os.getpid(), 9))"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    assert subprocess.run([sys.executable, "-c", program, str(path)]).returncode == -9


def test_what_killed_writers_left_goes_when_a_sweep_and_its_run_begin_again(tmp_path):
    run = tmp_path / "run"
    for path in (tmp_path / "sweep.json", run / "run.json", run / "checkpoints" / "last.ckpt"):
        killed_while_it_writes(path)
        assert not path.exists()
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(left) == 3
    point = Point(0, cvtrain.configure(), (), "run")
    with DirectoryLock(tmp_path):
        Journal(tmp_path).begin(point, "single", 1, 1)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [run / "run.json"]


def test_non_finite_numbers_are_strings_in_json(tmp_path):
    write_json(tmp_path / "x.json", {"a": math.nan, "b": [math.inf, {"c": -math.inf}], "d": 1.5})
    content = json.loads((tmp_path / "x.json").read_text(), parse_constant=pytest.fail)
    assert content == {"a": "nan", "b": ["inf", {"c": "-inf"}], "d": 1.5}


def test_metrics_rows_read_back_as_the_same_floats(tmp_path):
    values = {"a": 0.1 + 0.2, "b,with comma": math.nan, 'c"quote': -math.inf}
    with MetricsFile(tmp_path, [*values, "later"]) as table:
        table.write(0, values)
        table.write(7, {"later": 1e-300})
        with pytest.raises(KeyError, match="nowhere"):
            table.write(8, {"nowhere": 1.0})
    with (tmp_path / "metrics.csv").open(newline="") as file:
        first, second = list(csv.DictReader(file))
    assert float(first["a"]) == 0.1 + 0.2
    assert (first["b,with comma"], first['c"quote'], first["later"]) == ("nan", "-inf", "")
    assert (second["step"], second["a"], float(second["later"])) == ("7", "", 1e-300)


def test_complex_values_are_refused_by_every_writer(tmp_path):
    board = TensorBoardFile(tmp_path)
    with pytest.raises(TypeError, match="real values"):
        board.histogram(0, "w", np.ones(3) * 1j)
    board.close()
    recorder = RunWriter([tmp_path])
    with pytest.raises(TypeError, match="complex"):
        recorder.write(0, {"grad": torch.ones(1, dtype=torch.complex64)})
    recorder.close([True])


def test_each_run_of_a_stack_gets_its_own_column_values(tmp_path):
    directories = [tmp_path / name for name in "ab"]
    for directory in directories:
        directory.mkdir()
    recorder = RunWriter(directories)
    recorder.expect(["test/loss"])
    recorder.write(0, {"x": torch.tensor([1.0, 2.0]), "n": torch.tensor([3, 4])})
    recorder.write(1, {"x": torch.tensor([5.0, 6.0]), "test/loss": torch.tensor([7.0, 8.0])}, [1])
    recorder.close([True, False])
    text = [(directory / "metrics.csv").read_text().splitlines() for directory in directories]
    assert text[0] == ["step,x,n,test/loss", "0,1.0,3.0,"]
    assert text[1] == ["step,x,n,test/loss", "0,2.0,4.0,", "1,6.0,,8.0"]
    assert recorder.final[1] == {"x": 6.0, "n": 4.0, "test/loss": 8.0}


def test_a_checkpoint_of_a_slice_does_not_carry_the_whole_stack(tmp_path):
    stack = torch.randn(1000, 4, 4, dtype=torch.complex64)
    save_checkpoint(tmp_path, "last", {"weight": stack[3]}, 17)
    path = tmp_path / "checkpoints" / "last.ckpt"
    weights, step = load_checkpoint(path)
    assert step == 17
    assert torch.equal(weights["weight"], stack[3])
    assert path.stat().st_size < 10_000
    torch.save({"schema": 99}, path)
    with pytest.raises(ValueError, match="schema"):
        load_checkpoint(path)
    torch.save({"schema": 1, "state_dict": {3: torch.zeros(2)}, "step": 1}, path)
    with pytest.raises(ValueError, match="weights without names"):
        load_checkpoint(path)


def test_two_launches_in_one_second_get_two_directories(tmp_path):
    wanted = tmp_path / "outputs" / "now"
    assert [claim_directory(wanted, "x").name for _ in range(3)] == ["now", "now_2", "now_3"]


def test_a_lock_keeps_a_second_sweep_out_and_names_its_owner(tmp_path):
    refused = pytest.raises(InputError, match=r"trained by another command \(process \d+ on ")
    with DirectoryLock(tmp_path), refused:
        DirectoryLock(tmp_path).__enter__()
    with DirectoryLock(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_of_many_that_want_a_directory_at_once_one_has_it(tmp_path):
    holders, most, refused = [0], [0], [0]
    counting = threading.Lock()

    def contend() -> None:
        for _ in range(100):
            try:
                with DirectoryLock(tmp_path):
                    with counting:
                        holders[0] += 1
                        most[0] = max(most[0], holders[0])
                    time.sleep(0)
                    with counting:
                        holders[0] -= 1
            except InputError:
                refused[0] += 1

    threads = [threading.Thread(target=contend) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert 0 < refused[0] < 600
    assert list(tmp_path.iterdir()) == []


def test_a_directory_whose_owner_cannot_be_written_is_left_free(tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space left"):
            DirectoryLock(tmp_path).__enter__()
    with DirectoryLock(tmp_path):
        pass


def test_a_torn_or_missing_run_file_has_no_status(tmp_path):
    journal = Journal(tmp_path)
    assert journal.status("none") is None
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "run.json").write_text('{"status": "fin')
    assert journal.status("torn") is None


def test_a_checkpoint_with_a_bit_flipped_in_its_numbers_is_refused(tmp_path):
    weights = {"w": torch.ones(1000, dtype=torch.complex64)}
    save_checkpoint(tmp_path, "last", weights, 3, {"state": torch.arange(5000.0)})
    path = tmp_path / "checkpoints" / "last.ckpt"
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        inside = [archive.read(entry) for entry in archive.infolist() if "/data/" in entry.filename]
    assert sorted(map(len, inside)) == [8000, 20000]
    for numbers in inside:
        middle = content.index(numbers) + len(numbers) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        torch.load(path, weights_only=True)  # which notices nothing
        with pytest.raises(InputError, match=r"last\.ckpt: is damaged \(checksum of archive/data/"):
            load_checkpoint(path)


def test_a_checkpoint_of_a_slice_of_a_stack_holds_the_slice_alone(tmp_path):
    stacked = torch.randn(1000, 100)
    save_checkpoint(tmp_path, "last", {"w": stacked[3]}, 1, {"state": [stacked[4], (stacked[5],)]})
    path = tmp_path / "checkpoints" / "last.ckpt"
    assert path.stat().st_size < 8 * 4 * 100 + 4096
    assert torch.equal(load_checkpoint(path)[0]["w"], stacked[3])


def test_a_run_has_ended_where_its_record_is_of_this_very_point_and_says_so(tmp_path):
    config = cvtrain.configure("model.hidden=[4]", "max_steps=2")
    point, other = (
        Point(0, config_, (), "run") for config_ in (config, config.model_copy(update={"seed": 1}))
    )
    journal = Journal(tmp_path)
    record = journal.begin(point, "single", 1, 1)
    record.final = {"val/loss": 1.0}
    ended = ("finished", "diverged", "pruned")
    for status in ("running", "interrupted", "failed", *ended):
        journal.end(point, record, status)
        assert (journal.ended(point) is not None) == (status in ended), status
        assert journal.ended(other) is None
    path = tmp_path / "run" / "run.json"
    write_json(path, json.loads(path.read_text()) | {"schema": 0})
    assert journal.ended(point) is None
