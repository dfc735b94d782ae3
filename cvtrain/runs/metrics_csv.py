"""metrics.csv: one row per logged step, in the format of RFC 4180."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cvtrain.process.regular_file import open_regular
from cvtrain.runs.files import AppendedFile
from cvtrain.runs.schema_1 import current_header

FILE_NAME = "metrics.csv"
TAIL = 1 << 17
"""Number of bytes at the end of a file in which the last row is searched."""
MOST_BYTES = 1 << 32
"""Largest size of a table that is read whole."""
DIGITS = 18
"""Largest number of digits of a step."""


def last_step(directory: Path) -> int | None:
    """The step of the last complete row, also while the run is writing; None before the first
    row."""
    try:
        with open_regular(directory / FILE_NAME) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            complete = file.read(TAIL).rpartition(b"\r\n")[0]
    except OSError:
        return None
    cell = complete.rpartition(b"\r\n")[2].partition(b",")[0]
    return int(cell) if cell.isdigit() and len(cell) <= DIGITS else None


def value_at(directory: Path, step: int, tag: str) -> float | None:
    """A signal at one step, also while the run is writing; None if it was not measured."""
    try:
        with (
            open_regular(directory / FILE_NAME, MOST_BYTES) as file,
            io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="") as text,
        ):
            header = next(csv.reader([current_header(text.readline())]), ())
            for row in csv.DictReader(text, header):
                if row.get("step") == str(step) and row.get(tag):
                    return float(row[tag])
    except (OSError, ValueError, csv.Error):
        return None
    return None


class MetricsFile(AppendedFile):
    """Appends rows of signals under a fixed header; a missing signal is an empty cell.

    Numbers are written with `repr`, which reads back as the same float64; NaN and infinities are
    spelled `nan`, `inf` and `-inf`.

    Args:
        directory: directory of the run.
        tags: columns after `step`.
        continued: whether to append to an existing file, whose header is kept.
    """

    def __init__(self, directory: Path, tags: Sequence[str], continued: bool = False) -> None:
        super().__init__(directory / FILE_NAME, continued)
        self.tags = tuple(tags)
        self._known = frozenset(tags)
        if not continued:
            self.append(_header(self.tags))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Keep a row for the next flush.

        Raises:
            KeyError: a tag is not in the header.
        """
        self.require(values.keys())
        cells = [repr(values[tag]) if tag in values else "" for tag in self.tags]
        self.append(f"{step},{','.join(cells)}\r\n".encode())

    def add_columns(self, tags: Sequence[str]) -> None:
        """Rewrite the file with more columns at the end, which are empty in the existing rows.

        Raises:
            FilesChanged: something else changed or removed the file.
        """
        header = _header((*self.tags, *tags))
        empty = b"," * len(tags) + b"\r\n"

        def widened(content: bytes) -> bytes:
            return header + content.partition(b"\r\n")[2].replace(b"\r\n", empty)

        self.rewrite(widened)
        self.tags = (*self.tags, *tags)
        self._known = frozenset(self.tags)

    def require(self, tags: Iterable[str]) -> None:
        """Check that the header has all tags of a row.

        Raises:
            KeyError: a tag is not in the header.
        """
        if not self._known.issuperset(tags):
            raise KeyError(f"metrics.csv has no column {min(set(tags) - self._known)}")


def _header(tags: Sequence[str]) -> bytes:
    # Tags may contain commas and quotes; cells are numbers, which need no csv.writer.
    text = io.StringIO(newline="")
    csv.writer(text).writerow(["step", *tags])
    return text.getvalue().encode()
