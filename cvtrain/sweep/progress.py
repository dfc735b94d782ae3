"""One live line for the whole sweep: points done, diverged, failed, speed, and the time left.

It reads the journal, so it shows the same under every launcher.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from time import monotonic

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cvtrain.config.point import Point
from cvtrain.process.errors import StorageUnavailable
from cvtrain.process.plain_console import PlainConsole
from cvtrain.runs.journal import Journal
from cvtrain.runs.metrics_csv import last_step

REFRESH_SECONDS = 0.5
ASKED = 8
"""Of how many running runs the step is looked up: those of a stack are at the same one."""
LINE_SECONDS = 15.0
"""Between two lines where the output is not a terminal."""


class SweepProgress:
    """Shows, while entered, how far the points of a sweep are."""

    def __init__(self, journal: Journal, points: Sequence[Point], console: PlainConsole) -> None:
        self._journal = journal
        self._waiting = {point.directory: point.config.max_steps for point in points}
        self._begun: set[str] = set()
        self._underway = 0.0
        self._steps = 0.0
        self._ended_steps = 0
        self._training_since: float | None = None
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
        self._console.print(self._line())

    @property
    def done(self) -> int:
        """Points that have ended."""
        return self._total - len(self._waiting)

    def _follow(self) -> None:
        while not self._stop.wait(REFRESH_SECONDS):
            self._look()
            if not self._console.is_terminal and monotonic() - self._said >= LINE_SECONDS:
                self._said = monotonic()
                self._console.print(self._line())

    def _look(self) -> None:
        for directory in list(self._waiting):
            if not self._journal.changed(directory):
                continue
            try:
                status = self._journal.status(directory)
            except StorageUnavailable:  # whoever trains it tells
                continue
            if status == "running":
                self._begun.add(directory)
            elif status is not None:
                self._ended_steps += self._waiting.pop(directory)
                self._begun.discard(directory)
                if status in self._counts:
                    self._counts[status] += 1
        if self._begun and self._training_since is None:
            self._training_since = monotonic()
        self._measure()
        self._bar.update(self._task, completed=self.done + self._underway, left=self._left())

    def _measure(self) -> None:
        """How much of the runs that train now is done, from a few of them: in runs, and in steps of
        all runs, the ended ones as if none had stopped before its last."""
        begun = sorted(self._begun)
        sampled = begun[:: max(1, len(begun) // ASKED)]
        steps = [last_step(self._journal.root / directory) or 0 for directory in sampled]
        shares = [step / self._waiting[at] for step, at in zip(steps, sampled, strict=True)]
        runs_per_sample = len(begun) / max(1, len(sampled))
        self._underway = runs_per_sample * sum(shares)
        self._steps = self._ended_steps + runs_per_sample * sum(steps)

    def _left(self) -> str:
        parts = [
            f"{n} {status}" for status, n in self._counts.items() if n and status != "finished"
        ]
        if self._steps and self._training_since is not None:
            rate = self._steps / max(monotonic() - self._training_since, REFRESH_SECONDS)
            parts.append(f"{rate:,.0f} steps/s")
        done = self.done + self._underway
        if 0 < done < self._total:
            parts.append(f"{done / self._total:.0%} of the work")
            seconds = (monotonic() - self._began) / done * (self._total - done)
            parts.append(f"{_clock(seconds)} left")
        return ", ".join(parts)

    def _line(self) -> str:
        took = _clock(monotonic() - self._began)
        parts = [f"{self.done} of {self._total} points", self._left(), f"{took} so far"]
        return "cvtrain: " + ", ".join(part for part in parts if part)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
