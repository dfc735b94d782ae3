"""The line that says how far a sweep is."""

from __future__ import annotations

from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from cvtrain.sweep import progress as module
from cvtrain.sweep.progress import SweepProgress

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


def shown(tmp_path):
    points = [
        SimpleNamespace(directory=str(n), config=SimpleNamespace(max_steps=STEPS))
        for n in range(10)
    ]
    journal = FakeJournal(tmp_path)
    text = StringIO()
    return journal, text, SweepProgress(journal, points, Console(file=text, width=200))


def test_points_speed_and_time_left_are_told(tmp_path, clock):
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
        # Three have ended and two are half way: 400 steps in 10 s, 4 of 10 points.
        line = progress._line()
    assert line == (
        "cvtrain: 3 of 10 points, 1 diverged, 1 failed, 40 steps/s, 40% of the work, 0:15 left,"
        " 0:10 so far"
    )


def test_a_sweep_that_has_not_begun_claims_no_speed(tmp_path, clock):
    _journal, text, progress = shown(tmp_path)
    with progress:
        assert progress._line() == "cvtrain: 0 of 10 points, 0:00 so far"
    assert text.getvalue().endswith("so far\n")
