"""Write the signals of K runs to their K run directories."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from time import monotonic

from torch import Tensor

from cvtrain.process.errors import FilesChanged
from cvtrain.runs.file_snapshot import FileSnapshot, signal_files
from cvtrain.runs.files import AppendedFile
from cvtrain.runs.metrics_csv import MetricsFile
from cvtrain.runs.row_buffer import RowBuffer
from cvtrain.runs.safe_names import NAME_BEGINS
from cvtrain.runs.tensorboard.events import scalar_events
from cvtrain.runs.tensorboard.layout import run_layout
from cvtrain.runs.tensorboard.writer import TensorBoardFile
from cvtrain.runs.trackers import Trackers

log = logging.getLogger(__name__)

FLUSH_EVERY = 50
"""Largest number of rows between two flushes: they are in memory, and a killed process loses
them."""

FLUSH_AFTER = 2.0
"""Seconds between two flushes if rows are rare, for users who watch the files."""


class RunWriter:
    """Writes rows of signals, each a [K] tensor, to metrics.csv and TensorBoard of K runs.

    Rows stay on their device until they are flushed or read, so a row needs no synchronisation and
    only its share of one transfer. The columns are those of the first row and the expected ones,
    i.e. signals that only the last row has. A continued run keeps its columns: signals that a later
    version added are left out.

    Args:
        directories: one per run.
        earlier: snapshot of what an earlier attempt had recorded when all runs continue; without it
            its files are replaced.
        trackers: trackers that receive the rows too.
        tensorboard: whether to write event files beside metrics.csv.

    Attributes:
        lost: by position, runs whose files were removed or changed by something else, with the
            error. They get no more rows.
    """

    def __init__(
        self,
        directories: Sequence[Path],
        earlier: Sequence[FileSnapshot] = (),
        trackers: Trackers | None = None,
        tensorboard: bool = True,
    ) -> None:
        self.lost: dict[int, FilesChanged] = {}
        self._directories = list(directories)
        self._older: list[list[AppendedFile]] = [[] for _ in self._directories]
        self._later_tags: tuple[str, ...] = ()
        self._tables: list[MetricsFile] = []
        self._final: list[dict[str, float]] = [{} for _ in self._directories]
        self._continued = bool(earlier)
        if earlier:
            self._go_on(earlier)
        else:
            for directory in self._directories:
                _begin_anew(directory)
        self._boards: list[TensorBoardFile] = []
        if tensorboard:
            self._boards = [TensorBoardFile(directory) for directory in self._directories]
        self._trackers = trackers or Trackers((), ())
        self._rows = RowBuffer(len(self._directories))
        self._unflushed = 0
        self._flushed_at = monotonic()

    def expect(self, later_tags: Sequence[str]) -> None:
        """Name signals that only a later row has; call it before the first row."""
        self._later_tags = tuple(later_tags)

    def declare(self, run: int, hyperparameters: Mapping[str, float | str | bool]) -> None:
        """Declare the run with index `run` in HPARAMS, with the later tags as its metrics."""
        for board in self._boards[run : run + 1]:
            board.hparams(hyperparameters, self._later_tags)

    def write(
        self,
        step: int,
        signals: Mapping[str, Tensor],
        recorded: Sequence[int] | None = None,
        logged: Mapping[str, Tensor] | None = None,
    ) -> bool:
        """Write one row for the runs in `recorded` (None: all).

        Args:
            step: index of the row.
            signals: real tensors by tag, [K] or longer; entries of members that only pad the stack
                are ignored. They may change afterwards.
            recorded: positions in the stack that are still being recorded.
            logged: more signals, which may have columns that no earlier row had.

        Returns:
            whether metrics.csv was rewritten with more columns.

        Raises:
            TypeError: a signal is complex, which no column can hold.
            KeyError: a signal is neither in the first row nor expected.
            ValueError: a signal has fewer than K runs.
        """
        for tag, values in signals.items():
            if values.is_complex():
                raise TypeError(f"signal {tag} is complex; name its real and imaginary parts")
        if self._continued:
            known = set(self._tables[0].tags)
            signals = {tag: values for tag, values in signals.items() if tag in known}
        elif self._tables:
            self._tables[0].require(signals)
        logged = logged or {}
        added = [tag for tag in logged if self._tables and tag not in self._tables[0].tags]
        if added:
            self._add_columns(added)
        signals = {**signals, **logged}
        self._rows.add(step, signals, recorded)
        if not self._tables:
            header = [*signals, *(tag for tag in self._later_tags if tag not in signals)]
            self._tables = [MetricsFile(directory, header) for directory in self._directories]
            layout = run_layout(header)
            for board in self._boards if layout is not None else ():
                board.summary(step, layout)
        self._unflushed += 1
        self._flush_if_due()
        return bool(added)

    def histograms(
        self, step: int, values: Mapping[str, Tensor], recorded: Sequence[int] | None = None
    ) -> None:
        """Write histograms of real tensors [K or more, …] by tag, for the runs in `recorded`."""
        # Events stay in the order of their steps.
        self._fetch()
        for tag, tensor in values.items():
            boards = len(self._boards)
            members = tensor.detach()[:boards].cpu().numpy()
            for run in range(boards) if recorded is None else recorded:
                if run < boards and run not in self.lost:
                    self._boards[run].histogram(step, tag, members[run].reshape(-1))
        self._flush_if_due()

    @property
    def final(self) -> list[dict[str, float]]:
        """The last value of every signal, per run; flushes and verifies."""
        self._flush_and_verify()
        return self._final

    def recorded(self) -> list[FileSnapshot]:
        """A snapshot of what has been recorded so far, per run, for a checkpoint; flushes and
        verifies."""
        self._flush_and_verify()
        tags = self._tables[0].tags if self._tables else ()
        return [
            FileSnapshot(tags, dict(final), {file.name: file.content for file in self._files(run)})
            for run, final in enumerate(self._final)
        ]

    def _files(self, run: int) -> list[AppendedFile]:
        """The files of a run, including those of an earlier attempt."""
        tables = [self._tables[run]] if self._tables else []
        return [*tables, *self._older[run], *self._boards[run : run + 1]]

    def flush(self) -> None:
        """Pass everything that was written to the operating system.

        Raises:
            FilesChanged: files of every run were removed or changed.
        """
        self._flush()
        self._refuse_to_train_for_nothing()

    def records(self, runs: Sequence[int]) -> bool:
        """Whether the files of any of these runs still accept rows."""
        return any(run < len(self._directories) and run not in self.lost for run in runs)

    @contextmanager
    def keeping(self, run: int) -> Iterator[None]:
        """Context for writing files of a run: if they were removed, only that run is lost."""
        try:
            yield
        except FilesChanged as error:
            self.lost[run] = error
        except (FileNotFoundError, NotADirectoryError):
            directory = self._directories[run]
            if directory.is_dir():
                raise
            self.lost[run] = FilesChanged(f"{directory}: was removed while the run trained")

    def close(self, succeeded: Sequence[bool]) -> None:
        """Record in HPARAMS which runs succeeded, and flush.

        If none did, rows that cannot be fetched are given up: a failed device fails here once more,
        which would hide the error that ended the runs.
        """
        try:
            self._fetch()
        except RuntimeError as error:
            if any(succeeded):
                raise
            log.warning("the last rows are lost: %s", error)
        for board, good in zip(self._boards, succeeded, strict=False):  # there may be no boards
            board.ended(good)
        self._trackers.close(succeeded)
        self._flush()
        self._verify()

    def _flush(self) -> None:
        self._fetch()
        for run in range(len(self._directories)):
            if run not in self.lost:
                with self.keeping(run):
                    for file in (*self._tables[run : run + 1], *self._boards[run : run + 1]):
                        file.flush()
        self._unflushed = 0
        self._flushed_at = monotonic()

    def _flush_and_verify(self) -> None:
        self._flush()
        self._verify()
        self._refuse_to_train_for_nothing()

    def _verify(self) -> None:
        """Find files that were removed or changed since the last flush, including those of an
        earlier attempt to which nothing is appended."""
        for run in range(len(self._directories)):
            if run not in self.lost:
                with self.keeping(run):
                    for file in self._files(run):
                        file.verify()

    def _refuse_to_train_for_nothing(self) -> None:
        if len(self.lost) == len(self._directories):
            raise self.lost[0]

    def _go_on(self, earlier: Sequence[FileSnapshot]) -> None:
        self._final = [dict(snapshot.final) for snapshot in earlier]
        for run, (snapshot, directory) in enumerate(zip(earlier, self._directories, strict=True)):
            snapshot.restore(directory)
            self._tables.append(MetricsFile(directory, snapshot.tags, continued=True))
            self._older[run] = [
                AppendedFile(directory / name, continued=True)
                for name in snapshot.files
                if name.startswith(NAME_BEGINS)
            ]

    def _add_columns(self, tags: Sequence[str]) -> None:
        self._fetch()
        for run, table in enumerate(self._tables):
            if run not in self.lost:
                with self.keeping(run):
                    table.add_columns(tags)

    def _flush_if_due(self) -> None:
        waited = monotonic() - self._flushed_at
        if self._unflushed >= FLUSH_EVERY or waited >= FLUSH_AFTER:
            self.flush()

    def _fetch(self) -> None:
        for row in self._rows.take():
            columns = row.values.T.tolist()
            events: Iterable[bytes | None] = repeat(None, len(columns))
            if self._boards:
                events = scalar_events(row.step, row.wall_time, row.tags, row.values)
            for run, column, event in zip(row.runs, columns, events, strict=True):
                if run in self.lost:
                    continue
                values = dict(zip(row.tags, column, strict=True))
                self._tables[run].write(row.step, values)
                if event is not None:
                    self._boards[run].add(event)
                self._final[run].update(values)
                self._trackers.log(run, row.step, values)


def _begin_anew(directory: Path) -> None:
    """Remove the records of an earlier attempt, which do not belong to this one."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in signal_files(directory):
        path.unlink()
