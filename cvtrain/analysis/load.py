"""A sweep's run directories as tidy tables."""

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
"""What `Sweep.runs` takes from run.json as it is."""
NOTES = ("untrained_loss", "device")
"""What `Sweep.runs` takes from run.json where it is there: the loss of an output of zero, and the
type of the device that trained."""
MADE_WITH = ("versions", "machine", "samples")
"""Mappings in run.json that `Sweep.runs` takes, with the threads, as the column `made_with`."""
OWN_NAMES = frozenset(
    {*("run", "directory", "look", "references", "rising", "made_with"), *OWN_COLUMNS, *NOTES}
)
"""Columns of `Sweep.runs` besides configuration and signals."""
LAST_STEP = 2**53
"""Up to it a float64 tells every integer from its neighbours."""


@dataclass(frozen=True, repr=False)
class Sweep:
    """What is on disk of a sweep, finished or not.

    Attributes:
        directory: the sweep's, or that of a single run.
        runs: one row per run: `run` (its number), `directory`, `look` (how many reports the sweep
            had had when it was added), `OWN_COLUMNS`, the configuration
            under its dotted keys (``optimizer.lr``, ``objective.scale``, ``seed``, …), how many
            complex and real parameters it has (``parameters.complex``), what its data set knows of
            itself (`references`: tag, name and value of each number), added metrics of which
            larger values are better (`rising`), what it was made with
            (`made_with`: pairs of names and values of `MADE_WITH`) and the last value of every
            signal under its tag (``val/loss``, ``test/accuracy``, …). A run that has not begun has
            the status `missing` and nothing else.
        config_keys: which columns of `runs` are configuration.
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
        """Every signal at every logged step, one value per row: `run`, `step`, `tag`, `value`."""
        tables = []
        for run, name in zip(self.runs["run"], self.runs["directory"], strict=True):
            text = read_metrics(self.directory / name)
            if text:
                with readable(self.directory / name / METRICS_FILE):
                    # As text: an empty cell is no measurement, a measured NaN is spelled; and
                    # Python's own conversion returns the very number that was written.
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
        """The rows of some runs, as tables with a column `step` and one per signal.

        Args:
            tags: which signals; the others are not read.
            runs: rows of `self.runs`.

        Returns:
            by the label of the row in `runs`; without those that have none of the signals.
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
    """Whether all rows have as many cells as the header, so that tables can be read as one."""
    try:
        between = len(next(csv.reader([header]))) - 1
    except csv.Error:
        return False
    return all(body.count(",") == between * body.count("\n") for body in bodies)


def _table(header: str, body: str, tags: Callable[[str], bool]) -> pd.DataFrame:
    """A table's columns `step` and `tags` as numbers.

    Raises:
        ValueError: a cell is no number, or there is no such step.
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
    """Tables of one header, parsed as one, since that takes as long as each of them; None where
    that fails."""
    try:
        joined = _table(header, "".join(bodies), tags)
    except Exception:  # which of them it is, is known when each is read by itself
        return None
    ends = np.cumsum([0, *(body.count("\n") for body in bodies)])
    if len(joined) != ends[-1]:
        return None
    return [joined.iloc[start:end].reset_index(drop=True) for start, end in pairwise(ends)]


def load(path: str | PathLike[str]) -> Sweep:
    """Read a sweep's directory, or that of one run.

    Raises:
        InputError: there is no run in it, or one that this version cannot read.
    """
    directory = Path(path)
    alone = kind_of(directory / RUN_FILE) is not None
    listed = [(0, ".", 0)] if alone else list(_listed(directory))
    if not listed:
        raise InputError(f"{directory}: no sweep or run of cvtrain is here (no {RUN_FILE} found)")
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
                    raise InputError(f"{path}: {key}: no run has a key or a signal of this name")
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
    """Inside, whatever a table that anybody may have written leads to is told with its path.

    Raises:
        InputError: in place of any other error.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = first_line(error) or type(error).__name__
        raise InputError(f"{path}: cannot be read: {reason}") from None


def whole_steps(column: pd.Series[Any]) -> pd.Series[Any]:
    """A table's steps as integers.

    Raises:
        ValueError: one is not a whole number from 0 on that a float64 holds exactly.
    """
    steps = column.astype("float64")
    wrong = column[~((steps >= 0) & (steps <= LAST_STEP) & (steps % 1 == 0))]
    if len(wrong):
        raise ValueError(f"step={wrong.iloc[0]!s:.40}: should be a whole number from 0 on")
    return steps.astype("int64")


def _listed(directory: Path) -> Iterator[tuple[int, str, int]]:
    """Number, name and look of each run directory; sweep.json also names those that have not
    begun."""
    if kind_of(directory / SWEEP_FILE) is not None:
        for point in read_points(directory):
            yield point["number"], point["directory"], point["look"]
        return
    # Where there is none, a path may be too long to look into.
    below = directory.glob(f"*/{RUN_FILE}") if is_directory(directory) else ()
    for number, path in enumerate(sorted(below)):
        yield number, path.parent.name, 0


def missing(value: Any) -> bool:
    """Whether a cell of a table of runs holds nothing: None or NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def read_metrics(directory: Path) -> str:
    """The text of a run's metrics.csv without a last line that is still being written, or was
    never finished; empty where there is none.

    Raises:
        InputError: it cannot be read.
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
