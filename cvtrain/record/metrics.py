"""metrics.csv: one row per logged step, RFC 4180."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

FILE_NAME = "metrics.csv"


class MetricsFile:
    """Writes rows of signals under a fixed header; a missing signal is an empty cell.

    Numbers are written with `repr`, which reads back as the same float64; NaN and infinities are
    spelled `nan`, `inf` and `-inf`.
    """

    def __init__(self, directory: Path, tags: Sequence[str]) -> None:
        self.tags = tuple(tags)
        self._file = (directory / FILE_NAME).open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        self._writer.writerow(["step", *self.tags])

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append a row.

        Raises:
            KeyError: a tag that is not in the header.
        """
        unknown = set(values) - set(self.tags)
        if unknown:
            raise KeyError(f"metrics.csv has no column {sorted(unknown)[0]}")
        cells = (_spelled(values[tag]) if tag in values else "" for tag in self.tags)
        self._writer.writerow([step, *cells])

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Flush and close."""
        self._file.close()

    def __enter__(self) -> MetricsFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _spelled(value: float) -> str:
    if math.isnan(value):
        return "nan"
    return repr(value)
