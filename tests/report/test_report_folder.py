"""Several reports on one sweep at once: each ends well, and what is there is whole."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
import xml.etree.ElementTree as xml

import pytest
from filelock import FileLock

from cvtrain.cli.report import main
from cvtrain.process.errors import InputError
from cvtrain.report import export as module
from cvtrain.report.export import report_folder
from tests.analysis.synthetic import HALVED, describe_sweep, write_run

FORK = multiprocessing.get_context("fork")
REPORTS = 2


def synthetic_sweep(root):
    rows = [(0, {"train/loss": 2.0, "val/loss": 2.0}), (20, {"train/loss": 0.5, "val/loss": 0.5})]
    runs = [(lr, seed, arm) for lr in (0.125, 0.25) for seed in (0, 1) for arm in ({}, HALVED)]
    final = {"val/loss": 0.5, "test/accuracy": 0.9, "convergence/initial/loss": 2.0}
    for number, (lr, seed, arm) in enumerate(runs):
        write_run(root / f"{number}", "finished", final, rows, optimizer__lr=lr, seed=seed, **arm)
    describe_sweep(root, *(f"{number}" for number in range(len(runs))))
    return root


def reported(root, begin):
    begin.wait()
    devnull = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(devnull, descriptor)
    os._exit(main([str(root)]))


def content(folder):
    """Every file but event files, whose names and times differ."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder): path.read_bytes() for path in paths if "tfevents" not in path.name
    }


def test_reports_at_once_end_as_one_does(tmp_path):
    root = synthetic_sweep(tmp_path / "sweep")
    begin = FORK.Event()
    processes = [FORK.Process(target=reported, args=(root, begin)) for _ in range(REPORTS)]
    for process in processes:
        process.start()
    begin.set()
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0] * REPORTS
    together = content(root)
    assert not [path for path in together if path.name.startswith(".")]
    for path in (root / "report").glob("*.svg"):
        xml.parse(path)
    assert (root / "report" / "index.html").read_text(encoding="utf-8").endswith("</html>")
    json.loads((root / "report" / "summary.json").read_text(encoding="utf-8"))
    boards = sorted(path.parent for path in root.rglob("*tfevents*"))
    assert len(boards) == len(set(boards)) == 1 + 4 + 2
    assert main([str(root)]) == 0
    assert content(root) == together


def test_a_report_waits_for_another_one_and_removes_what_killed_ones_left(tmp_path):
    (tmp_path / ".index.html.x.unfinished").touch()
    entered = []

    def other() -> None:
        with report_folder(tmp_path):
            entered.append(time.monotonic())

    with report_folder(tmp_path) as folder:
        assert [path.name for path in folder.iterdir()] == [".lock"]
        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.3)
        left = time.monotonic()
        assert entered == []
    thread.join()
    assert entered[0] >= left
    assert list(tmp_path.iterdir()) == []


def test_one_that_waits_too_long_says_for_what(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_WAIT", 0.1)
    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(InputError, match="another command has been writing a report there"),
        report_folder(tmp_path),
    ):
        pass


@pytest.mark.parametrize("name", ["report", "aggregate", "report/index.html"])
def test_what_cannot_be_written_is_told_in_a_line(tmp_path, capsys, name):
    root = synthetic_sweep(tmp_path / "sweep")
    (root / name).parent.mkdir(exist_ok=True)
    if name.endswith("html"):
        (root / name).mkdir()
    else:
        (root / name).touch()
    assert main([str(root)]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"cvtrain report: {root / name}: is a")
    assert printed.count("\n") == 1
