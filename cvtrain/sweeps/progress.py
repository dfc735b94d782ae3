"""A live line for the whole sweep: runs that ended, diverged or failed; speed and remaining time.

It reads the journal, so it is the same for every launcher.
"""

from __future__ import annotations

import math
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from cvtrain.config.point import Point
from cvtrain.process.errors import StorageUnavailable
from cvtrain.process.notebook import in_notebook, redraw
from cvtrain.process.plain_console import PlainConsole
from cvtrain.runs.journal import Journal
from cvtrain.runs.metrics_csv import last_step

REFRESH_SECONDS = 0.5
SAMPLED = 8
"""Number of running runs whose step is read: all runs of a stack are at the same step."""
LINE_SECONDS = 15.0
"""Seconds between two lines if the output is not a terminal."""
WINDOW_SECONDS = 30.0
"""Seconds over which the speed is measured: that of the stacks that train now."""


class SweepProgress:
    """Context that shows the progress of the runs of a sweep.

    Args:
        journal: journal of the sweep.
        points: points to be trained; a continued run starts at its last recorded step.
        console: output; a line that is redrawn in a terminal, else lines `LINE_SECONDS` apart.
    """

    def __init__(self, journal: Journal, points: Sequence[Point], console: PlainConsole) -> None:
        self._journal = journal
        self._first = {p.directory: last_step(journal.root / p.directory) or 0 for p in points}
        self._waiting = {p.directory: p.config.max_steps - self._first[p.directory] for p in points}
        self._running: set[str] = set()
        self._total = len(points)
        self._total_steps = sum(self._waiting.values())
        self._ended_steps = 0
        self._steps = 0.0
        self._measured: deque[tuple[float, float]] = deque()
        self._counts = {"finished": 0, "diverged": 0, "failed": 0}
        self._console = console
        self._bar = Progress(
            BarColumn(bar_width=10),
            # In a narrow terminal the end is cut off, since a second line would not be redrawn.
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> SweepProgress:
        self._began = self._printed = monotonic()
        self._task = self._bar.add_task(self._text(), total=max(1, self._total_steps))
        self._bar.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()
        self._bar.stop()
        if in_notebook():
            redraw("")
        self._print()

    @property
    def done(self) -> int:
        """Number of runs that have ended."""
        return self._total - len(self._waiting)

    def _follow(self) -> None:
        while not self._stop.wait(REFRESH_SECONDS):
            self._look()
            if in_notebook():
                redraw(f"cvtrain: {self._text()}")
            elif not self._console.is_terminal and monotonic() - self._printed >= LINE_SECONDS:
                self._printed = monotonic()
                self._print()

    def _look(self) -> None:
        for directory in list(self._waiting):
            if not self._journal.changed(directory):
                continue
            try:
                status = self._journal.status(directory)
            except StorageUnavailable:  # the training process reports it
                continue
            if status == "running":
                self._running.add(directory)
            elif status is not None:
                # A run that diverged waits for the last run of its stack.
                self._ended_steps += self._waiting.pop(directory)
                self._running.discard(directory)
                if status in self._counts:
                    self._counts[status] += 1
        self._measure()
        self._bar.update(self._task, completed=self._steps, description=self._text())

    def _measure(self) -> None:
        """Record the number of steps that all runs have made; of the running ones only a few are
        read.

        Time is counted from their first step on; the time before is not training.
        """
        running = sorted(self._running)
        sampled = running[:: max(1, len(running) // SAMPLED)]
        steps = [
            max(0, (last_step(self._journal.root / directory) or 0) - self._first[directory])
            for directory in sampled
        ]
        runs_per_sample = len(running) / max(1, len(sampled))
        self._steps = self._ended_steps + runs_per_sample * sum(steps)
        if running or self._ended_steps:
            now = monotonic()
            self._measured.append((now, self._steps))
            while self._measured[0][0] < now - WINDOW_SECONDS and len(self._measured) > 2:
                self._measured.popleft()

    @property
    def _speed(self) -> float:
        """Steps per second of all runs together; 0 before the first measurement."""
        if len(self._measured) < 2:
            return 0.0
        (first, before), (last, after) = self._measured[0], self._measured[-1]
        return max(0.0, after - before) / max(last - first, REFRESH_SECONDS)

    def _text(self) -> str:
        parts = []
        if self._waiting and self._speed:
            seconds = (self._total_steps - self._steps) / self._speed
            parts += [f"{self._steps / self._total_steps:.0%}", f"{clock(seconds)} left"]
        parts.append(f"{self.done} of {self._total} runs")
        parts += [f"{n} {s}" for s, n in self._counts.items() if n and s != "finished"]
        if self._speed:
            parts.append(f"{self._speed:,.0f} steps/s")
        return ", ".join(parts)

    def _print(self) -> None:
        took = clock(monotonic() - self._began)
        self._console.print(f"cvtrain: {self._text()}, {took} so far", soft_wrap=True)


def clock(seconds: float) -> str:
    """A duration as h:mm:ss."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}"


@contextmanager
def steps_shown(total: int) -> Iterator[Callable[[int], None]]:
    """Context that shows how many of `total` updates a run has made: a bar in a terminal, a line in
    a notebook, nothing elsewhere. It yields a function that takes the number of updates."""
    console = PlainConsole(stderr=True)
    if in_notebook():
        shown = -math.inf

        def redrawn(step: int) -> None:
            nonlocal shown
            if monotonic() - shown >= REFRESH_SECONDS or step == total:
                shown = monotonic()
                redraw(f"{step} of {total} steps")

        yield redrawn
        print(file=sys.stderr)
        return
    bar = Progress(
        TextColumn("steps"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("steps", total=total)
        yield lambda step: bar.update(task, completed=step)
