"""One live line for the whole sweep: points done, diverged, failed, and the time left.

It reads the journal, so it shows the same under every launcher.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cvtrain.point import Point
from cvtrain.record.journal import Journal

REFRESH_SECONDS = 0.5
LINE_SECONDS = 15.0
"""Between two lines where the output is not a terminal."""


class SweepProgress:
    """Shows, while entered, how far the points of a sweep are."""

    def __init__(self, journal: Journal, points: Sequence[Point], console: Console) -> None:
        self._journal = journal
        self._waiting = [point.directory for point in points]
        self._total = len(points)
        self._counts = {"finished": 0, "diverged": 0, "failed": 0}
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> SweepProgress:
        self._began = monotonic()
        self._said = self._began
        self._task = self._bar.add_task("sweep", total=self._total, left="")
        self._bar.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()
        self._bar.stop()
        self._console.print(self._line(), highlight=False)

    @property
    def done(self) -> int:
        """Points that have ended."""
        return self._total - len(self._waiting)

    def _follow(self) -> None:
        while not self._stop.wait(REFRESH_SECONDS):
            self._look()
            if not self._console.is_terminal and monotonic() - self._said >= LINE_SECONDS:
                self._said = monotonic()
                self._console.print(self._line(), highlight=False)

    def _look(self) -> None:
        still = []
        for directory in self._waiting:
            status = self._journal.status(directory)
            if status in (None, "running"):
                still.append(directory)
            elif status in self._counts:
                self._counts[status] += 1
        self._waiting = still
        self._bar.update(self._task, completed=self.done, left=self._left())

    def _left(self) -> str:
        told = [f"{n} {status}" for status, n in self._counts.items() if n and status != "finished"]
        if 0 < self.done < self._total:
            elapsed = monotonic() - self._began
            seconds = elapsed / self.done * (self._total - self.done)
            told.append(f"{_clock(seconds)} left")
        return ", ".join(told)

    def _line(self) -> str:
        took = _clock(monotonic() - self._began)
        told = [f"{self.done} of {self._total} points", self._left(), f"{took} so far"]
        return "cvtrain: " + ", ".join(part for part in told if part)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
