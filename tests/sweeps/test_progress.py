"""The line that says how far a sweep is."""

from __future__ import annotations

import re
from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from cvtrain.sweeps import progress as module
from cvtrain.sweeps.progress import SweepProgress

STEPS = 100


class FakeJournal:
    """Statuses by directory, and how far each run is in its metrics.csv."""

    def __init__(self, root):
        self.root = root
        self.statuses = {}

    def set(self, directory, status, step=None):
        self.statuses[directory] = status
        if step is not None:
            (self.root / directory).mkdir(exist_ok=True)
            (self.root / directory / "metrics.csv").write_bytes(
                b"step,x\r\n0,1.0\r\n%d,1.0\r\n" % step
            )

    def changed(self, directory):
        return directory in self.statuses

    def status(self, directory):
        return self.statuses.get(directory)


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(module, "monotonic", lambda: now.seconds)
    return now


def shown(tmp_path, journal=None, **options):
    points = [
        SimpleNamespace(directory=str(n), config=SimpleNamespace(max_steps=STEPS))
        for n in range(10)
    ]
    journal = journal or FakeJournal(tmp_path)
    text = StringIO()
    return journal, text, SweepProgress(journal, points, Console(file=text, **options))


def test_runs_speed_and_time_left_are_told(tmp_path, clock):
    journal, _, progress = shown(tmp_path)
    with progress:
        journal.set("0", "running", 0)
        progress._look()
        clock.seconds = 10.0
        for name, status in (("0", "finished"), ("1", "diverged"), ("2", "failed")):
            journal.set(name, status)
        for name in ("3", "4"):
            journal.set(name, "running", 50)
        progress._look()
        # Three have ended and two are half way: 400 of 1000 steps in 10 s.
        assert progress._text() == (
            "40%, 0:00:15 left, 3 of 10 runs, 1 diverged, 1 failed, 40 steps/s"
        )


def test_the_time_left_is_that_of_the_stack_which_trains_now(tmp_path, clock):
    """Neither what passes before the first step counts, nor the speed of an earlier stack."""
    journal, _, progress = shown(tmp_path)
    with progress:
        clock.seconds = 100.0  # the network is compiled, memory is probed
        journal.set("0", "running", 0)
        progress._look()
        clock.seconds = 101.0
        for name in map(str, range(5)):
            journal.set(name, "finished")
        journal.set("5", "running", 0)
        progress._look()
        for step in range(1, 61):
            clock.seconds = 101.0 + step
            journal.set("5", "running", step)
            progress._look()
        assert progress._text() == "56%, 0:07:20 left, 5 of 10 runs, 1 steps/s"


def test_a_run_that_goes_on_is_not_trained_again(tmp_path, clock):
    journal = FakeJournal(tmp_path)
    for name in map(str, range(10)):
        journal.set(name, "interrupted", 80)
    journal.statuses.clear()
    _, _, progress = shown(tmp_path, journal)
    with progress:
        journal.set("0", "running", 80)
        progress._look()
        clock.seconds = 10.0
        journal.set("0", "running", 90)
        progress._look()
        assert progress._text() == "5%, 0:03:10 left, 0 of 10 runs, 1 steps/s"


def test_lines_are_not_broken_where_the_output_is_no_terminal(tmp_path, clock):
    _journal, text, progress = shown(tmp_path, width=20)
    with progress:
        pass
    assert text.getvalue() == "cvtrain: 0 of 10 runs, 0:00:00 so far\n"


def test_a_terminal_shows_one_live_line_of_80_columns(tmp_path, clock):
    journal, text, progress = shown(tmp_path, force_terminal=True, width=80, color_system=None)
    with progress:
        for name in ("0", "1", "2"):
            journal.set(name, "running", 0)
        progress._look()
        clock.seconds = 10.0
        for name, status in (("0", "finished"), ("1", "diverged"), ("2", "failed")):
            journal.set(name, status)
        journal.set("3", "running", 50)
        progress._look()
        progress._bar.refresh()
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.getvalue()).split("\r")
    *live, last = [line.strip() for line in drawn if "0:00:19 left" in line]
    assert live
    assert all("\n" not in line and len(line) <= 80 for line in live)
    assert last.startswith("cvtrain: 35%, ")


def test_durations_have_hours():
    assert module.clock(1353 * 60 + 30) == "22:33:30"
