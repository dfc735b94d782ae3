"""Read the run directories of a sweep as tables."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cvtrain.process.errors import InputError, first_line
from cvtrain.process.regular_file import is_directory, kind_of, read_regular
from cvtrain.runs.journal import SWEEP_FILE, read_points
from cvtrain.runs.metrics_csv import FILE_NAME as METRICS_FILE
from cvtrain.runs.metrics_csv import MOST_BYTES
from cvtrain.runs.run_json import FILE_NAME as RUN_FILE
from cvtrain.runs.run_json import flattened, read_run
from cvtrain.runs.schema_1 import current_header

OWN_COLUMNS = (
    "status",
    "id",
    "engine",
    "steps",
    "diverged_at",
    "wall_seconds",
    "started",
    "error",
)
"""Fields of run.json that become columns of `Sweep.runs` unchanged."""
NOTES = ("untrained_loss", "device")
"""Optional fields of run.json that become columns of `Sweep.runs`: the loss of an output of zero,
and the type of the device that trained."""
MADE_WITH = ("versions", "machine", "samples")
"""Mappings in run.json that, with the number of threads, become the column `made_with` of
`Sweep.runs`."""
OWN_NAMES = frozenset(
    {*("run", "directory", "look", "references", "rising", "made_with"), *OWN_COLUMNS, *NOTES}
)
"""Columns of `Sweep.runs` besides configuration and signals."""
LAST_STEP = 2**53
"""Up to this number a float64 represents every integer."""


@dataclass(frozen=True, repr=False)
class Sweep:
    """The runs of a sweep on disk, finished or not.

    Attributes:
        directory: directory of the sweep, or of a single run.
        runs: one row per run. A run that has not begun has the status `missing` and no other
            values. Columns: `run` (its number), `directory`, `look` (number of reports that existed
            when the run was added), `OWN_COLUMNS`, the configuration under its dotted keys
            (``optimizer.lr``, ``objective.scale``, ``seed``, …), numbers of parameters
            (``parameters.complex``, ``parameters.real``), `references` (reference values of the
            data set: tag, name and value), `rising` (added metrics of which larger values are
            better), `made_with` (pairs of name and value of `MADE_WITH`), and the last value of
            every signal under its tag (``val/loss``, ``test/accuracy``, …).
        config_keys: columns of `runs` that are configuration.
    """

    directory: Path
    runs: pd.DataFrame
    config_keys: tuple[str, ...]

    def __repr__(self) -> str:
        counts = self.runs["status"].value_counts()
        statuses = ", ".join(f"{count} {status}" for status, count in counts.items())
        return f"<Sweep {self.directory}: {statuses}; .runs {self.runs.shape}, .curves>"

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Every signal at every logged step as a table with one value per row: `run`, `step`,
        `tag`, `value`."""
        tables = []
        for run, name in zip(self.runs["run"], self.runs["directory"], strict=True):
            text = read_metrics(self.directory / name)
            if text:
                with readable(self.directory / name / METRICS_FILE):
                    # As text: an empty cell means not measured, while a measured NaN is spelled
                    # out; and Python's own conversion returns exactly the number that was written.
                    rows = pd.read_csv(StringIO(text), dtype=str, keep_default_na=False)
                    long = rows.melt(id_vars="step", var_name="tag", value_name="value")
                    long = long[long["value"] != ""].assign(run=run)
                    long["step"] = whole_steps(long["step"])
                    tables.append(long.astype({"value": "float64"}))
        if not tables:
            return pd.DataFrame(columns=["run", "step", "tag", "value"])
        joined = pd.concat(tables, ignore_index=True)[["run", "step", "tag", "value"]]
        return joined.astype({"tag": "category"})

    def signals(self, tags: Callable[[str], bool], runs: pd.DataFrame) -> dict[int, pd.DataFrame]:
        """Read signals of some runs, as one table per run with a column `step` and one per signal.

        Args:
            tags: predicate that selects signals; the others are not parsed.
            runs: rows of `self.runs`.

        Returns:
            tables by index label in `runs`; runs that have none of the signals are left out.
        """
        directories = dict(zip(map(int, runs.index), map(str, runs["directory"]), strict=True))
        texts = {label: read_metrics(self.directory / name) for label, name in directories.items()}
        alike: dict[str, list[int]] = {}
        for label, text in texts.items():
            if text:
                alike.setdefault(text[: text.index("\n") + 1], []).append(label)
        tables: dict[int, pd.DataFrame] = {}
        for header, labels in alike.items():
            bodies = [texts[label].removeprefix(header) for label in labels]
            together = _tables_of(header, bodies, tags) if _regular(header, bodies) else None
            if together is None:
                together = []
                for label, body in zip(labels, bodies, strict=True):
                    with readable(self.directory / directories[label] / METRICS_FILE):
                        together += [_table(header, body, tags)]
            tables |= zip(labels, together, strict=True)
        return {one: tables[one] for one in texts if one in tables and len(tables[one].columns) > 1}


def _regular(header: str, bodies: Sequence[str]) -> bool:
    """Whether every row has as many cells as the header, so that all tables can be parsed as
    one."""
    try:
        between = len(next(csv.reader([header]))) - 1
    except csv.Error:
        return False
    return all(body.count(",") == between * body.count("\n") for body in bodies)


def _table(header: str, body: str, tags: Callable[[str], bool]) -> pd.DataFrame:
    """The columns `step` and `tags` of a table as numbers.

    Raises:
        ValueError: a cell is not a number, or a step is not valid.
    """
    text = StringIO(header + body)
    rows = pd.read_csv(text, usecols=lambda tag: tag == "step" or tags(tag), low_memory=False)
    if "step" not in rows:
        raise ValueError("it has no column step")
    steps = whole_steps(rows["step"])
    return rows.astype("float64").assign(step=steps)


def _tables_of(
    header: str, bodies: Sequence[str], tags: Callable[[str], bool]
) -> list[pd.DataFrame] | None:
    """Tables with one header, parsed together, which takes as long as parsing one; None if that
    fails."""
    try:
        joined = _table(header, "".join(bodies), tags)
    except Exception:  # parsing each table alone shows which one is wrong
        return None
    ends = np.cumsum([0, *(body.count("\n") for body in bodies)])
    if len(joined) != ends[-1]:
        return None
    return [joined.iloc[start:end].reset_index(drop=True) for start, end in pairwise(ends)]


def load(path: str | PathLike[str]) -> Sweep:
    """Read the directory of a sweep or of one run.

    Raises:
        InputError: the directory holds no run, or one that this version cannot read.
    """
    directory = Path(path)
    alone = kind_of(directory / RUN_FILE) is not None
    listed = [(0, ".", 0)] if alone else list(_listed(directory))
    if not listed:
        raise InputError(
            f"{directory}: should be the directory of a sweep or run (no {RUN_FILE} found)"
        )
    rows: list[dict[str, Any]] = []
    keys: dict[str, None] = {}
    for run, name, look in listed:
        row: dict[str, Any] = {"run": run, "directory": name, "look": look}
        path = directory / name / RUN_FILE
        if kind_of(path) is not None:
            record = read_run(path)
            config = dict(flattened(record.config))
            for key in (*config, *record.final):
                if key in OWN_NAMES:
                    raise InputError(f"{path}: {key}: is not a valid name of a key or signal")
            keys |= dict.fromkeys(config)
            row |= {column: getattr(record, column) for column in OWN_COLUMNS} | config
            row |= {f"parameters.{kind}": number for kind, number in record.parameters.items()}
            row |= record.final
            notes = ((name, getattr(record, name)) for name in NOTES)
            row |= {name: value for name, value in notes if value is not None}
            made_with = ((name, tuple(getattr(record, name).items())) for name in MADE_WITH)
            row["made_with"] = (("threads", record.threads), *made_with)
            if record.rising:
                row["rising"] = tuple(record.rising)
            if record.references:
                references = record.references
                row["references"] = tuple((e["tag"], e["name"], e["value"]) for e in references)
        else:
            row["status"] = "missing"
        rows.append(row)
    return Sweep(directory, pd.DataFrame(rows), tuple(keys))


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Context in which any error from reading a table becomes an InputError that names the file.

    Raises:
        InputError: instead of any other exception.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = first_line(error) or type(error).__name__
        raise InputError(f"{path}: cannot be read: {reason}") from None


def whole_steps(column: pd.Series[Any]) -> pd.Series[Any]:
    """The steps of a table as integers.

    Raises:
        ValueError: a step is not a whole number ≥ 0 that a float64 holds exactly.
    """
    steps = column.astype("float64")
    wrong = column[~((steps >= 0) & (steps <= LAST_STEP) & (steps % 1 == 0))]
    if len(wrong):
        raise ValueError(f"step={wrong.iloc[0]!s:.40}: should be a whole number from 0 on")
    return steps.astype("int64")


def _listed(directory: Path) -> Iterator[tuple[int, str, int]]:
    """Number, name and look of each run directory; sweep.json also lists runs that have not
    begun."""
    if kind_of(directory / SWEEP_FILE) is not None:
        for point in read_points(directory):
            yield point["number"], point["directory"], point["look"]
        return
    # If it is missing, a path may be too long for the file system.
    below = directory.glob(f"*/{RUN_FILE}") if is_directory(directory) else ()
    for number, path in enumerate(sorted(below)):
        yield number, path.parent.name, 0


def missing(value: Any) -> bool:
    """Whether a cell of a table of runs is empty: None or NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def read_metrics(directory: Path) -> str:
    """The text of a run's metrics.csv without an incomplete last line; empty without a file.

    Raises:
        InputError: the file cannot be read.
    """
    path = directory / METRICS_FILE
    if kind_of(path) is None:
        return ""
    try:
        text = read_regular(path, MOST_BYTES).decode(errors="replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or first_line(error)}") from None
    header, end, rows = text[: text.rfind("\n") + 1].partition("\n")
    return current_header(header) + end + rows
