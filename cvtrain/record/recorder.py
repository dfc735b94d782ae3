"""Fans the signals of K runs out to their K run directories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from cvtrain.record.metrics import MetricsFile
from cvtrain.record.tensorboard import TensorBoardFile

FLUSH_EVERY = 10
"""Rows between two hand-overs to the operating system."""


class Recorder:
    """Writes rows of signals, each a [K] tensor, to metrics.csv and TensorBoard of K runs.

    A row costs a transfer from the device per dtype, whatever the number of signals. The columns
    are those of the first row and the expected ones, signals that only the last row has.
    """

    def __init__(self, directories: Sequence[Path]) -> None:
        self._directories = list(directories)
        self._later_tags: tuple[str, ...] = ()
        self._boards = [TensorBoardFile(directory) for directory in self._directories]
        self._tables: list[MetricsFile] = []
        self._rows = 0
        self.final: list[dict[str, float]] = [{} for _ in self._directories]

    def expect(self, later_tags: Sequence[str]) -> None:
        """Name, before the first row, the signals that only a later row has."""
        self._later_tags = tuple(later_tags)

    def declare(self, run: int, hyperparameters: Mapping[str, float | str | bool]) -> None:
        """Declare run number `run` in HPARAMS, with the later tags as its metrics."""
        self._boards[run].hparams(hyperparameters, self._later_tags)

    def write(
        self, step: int, signals: Mapping[str, Tensor], recorded: Sequence[int] | None = None
    ) -> None:
        """Write one row for each of the runs in `recorded` (all, where None).

        Args:
            step: the row's index.
            signals: real tensors [K] by tag.
            recorded: positions in the stack that are still being recorded.

        Raises:
            TypeError: a complex signal, which no column could hold.
        """
        tags = list(signals)
        for tag, values in signals.items():
            if values.is_complex():
                raise TypeError(f"signal {tag} is complex; name its real and imaginary parts")
        rows = _transfer(signals)
        if not self._tables:
            header = [*tags, *(tag for tag in self._later_tags if tag not in signals)]
            self._tables = [MetricsFile(directory, header) for directory in self._directories]
        for run in range(len(self._directories)) if recorded is None else recorded:
            values_of_run = {tag: column[run] for tag, column in rows.items()}
            self._tables[run].write(step, values_of_run)
            self._boards[run].scalars(step, values_of_run)
            self.final[run].update(values_of_run)
        self._rows += 1
        if self._rows % FLUSH_EVERY == 0:
            self.flush()

    def histograms(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Write histograms of real tensors [K, …] by tag."""
        for tag, tensor in values.items():
            for run, entries in enumerate(tensor.detach().cpu().numpy()):
                self._boards[run].histogram(step, tag, entries.reshape(-1))

    def flush(self) -> None:
        """Hand all that was written to the operating system."""
        for table in self._tables:
            table.flush()
        for board in self._boards:
            board.flush()

    def close(self, succeeded: Sequence[bool]) -> None:
        """Note in HPARAMS which runs succeeded, and close every file."""
        for board, good in zip(self._boards, succeeded, strict=True):
            board.ended(good)
            board.close()
        for table in self._tables:
            table.close()


def _transfer(signals: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """Columns on the host: one transfer for each dtype, since stacking wants equal ones."""
    by_dtype: dict[torch.dtype, list[str]] = {}
    for tag, values in signals.items():
        by_dtype.setdefault(values.dtype, []).append(tag)
    columns: dict[str, list[float]] = {}
    for tags in by_dtype.values():
        stacked = torch.stack([signals[tag] for tag in tags]).to(torch.float64)
        columns.update(zip(tags, stacked.tolist(), strict=True))
    return {tag: columns[tag] for tag in signals}
