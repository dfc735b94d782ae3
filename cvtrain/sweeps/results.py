"""The objects that `cvtrain.train` and `cvtrain.sweep` return: a run, or a sweep with its
answer."""

from __future__ import annotations

from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from torch import nn

from cvtrain.analysis.load import Sweep, load
from cvtrain.experiments.publish import publish, report_on
from cvtrain.process.notebook import progress_alone
from cvtrain.process.process_state import preserves_process_state
from cvtrain.report.export import FOLDER
from cvtrain.runs.json_file import read_json
from cvtrain.runs.run_json import FILE_NAME as RUN_FILE
from cvtrain.runs.run_json import RunRecord, load_run_config, read_run
from cvtrain.training.trained_network import trained_network

ANSWER = ("group", "arm", "advice", "outcome", "cost")
SHOWN = ("train/loss", "val/", "test/")
"""Prefixes of the tags that a run shows."""


class RunResult:
    """A run trained by `cvtrain.train`.

    Args:
        directory: directory of the run.
        trusted: packages of the user that its configuration names.

    Attributes:
        directory: directory of the run; a `RunResult` can be used as a path.
        trusted: packages of the user that its configuration names.
    """

    def __init__(self, directory: Path, trusted: tuple[str, ...] = ()) -> None:
        self.directory, self.trusted = directory, trusted

    def __fspath__(self) -> str:
        return str(self.directory)

    @cached_property
    def record(self) -> RunRecord:
        """The content of run.json."""
        return read_run(self.directory / RUN_FILE)

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of every signal, by its tag: ``val/loss``, ``test/accuracy``, …"""
        return dict(self.record.final)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Every signal at every logged step: one column per tag, steps as index."""
        long = load(self.directory).curves
        return long.pivot(index="step", columns="tag", values="value")

    @preserves_process_state
    def network(self, checkpoint: str = "best") -> nn.Module:
        """The trained network.

        Args:
            checkpoint: ``best`` (lowest validation loss), ``last`` or ``average``.

        Raises:
            InputError: the checkpoint does not exist.
        """
        _, config = load_run_config(self.directory, self.trusted)
        return trained_network(self.directory, config, checkpoint)[1]

    def _rows(self) -> list[tuple[str, float]]:
        return [item for item in self.metrics.items() if item[0].startswith(SHOWN)]

    def __repr__(self) -> str:
        values = ", ".join(f"{tag} {value:.6g}" for tag, value in self._rows())
        record = self.record
        return f"{record.status} after {record.steps} updates: {values}\n{self.directory}"

    def _repr_html_(self) -> str:
        cells = "".join(f"<tr><td>{escape(t)}</td><td>{v:.6g}</td></tr>" for t, v in self._rows())
        record = self.record
        return (
            f"<table>{cells}</table><p>{record.status} after {record.steps} updates;"
            f" files in {escape(str(self.directory))}</p>"
        )


class SweepResult:
    """A sweep trained by `cvtrain.sweep`, with the answer to its question.

    Args:
        directory: directory of the sweep, with a report.

    Attributes:
        directory: directory of the sweep; a `SweepResult` can be used as a path.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __fspath__(self) -> str:
        return str(self.directory)

    @cached_property
    def _sweep(self) -> Sweep:
        return load(self.directory)

    @property
    def runs(self) -> pd.DataFrame:
        """One row per run with status, configuration and last signals, as in `cvtrain.load`."""
        return self._sweep.runs

    @property
    def curves(self) -> pd.DataFrame:
        """Every signal at every logged step, one value per row: `run`, `step`, `tag`, `value`."""
        return self._sweep.curves

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The content of report/summary.json."""
        content: dict[str, Any] = read_json(self.directory / FOLDER / "summary.json")
        return content

    @cached_property
    def verdict(self) -> pd.DataFrame:
        """The answer: one row per optimizer (`group`) and arm.

        `kind` is the kind of the answer (``relabelling``, ``absorbed``, ``different``,
        ``inconclusive``, …) and `sentence` the answer in words. `factor`, `factor_low` and
        `factor_high` are the factor on the learning rate and its 95 % interval; `rest` is the
        remaining ratio of test losses minus 1. Empty for experiments with another question, whose
        sentences are in ``summary["verdict"]``.
        """
        rows = [
            {**row, "sentence": f"{row['advice']}: {row['outcome']}"}
            for row in self.summary["answers"]
        ]
        return pd.DataFrame(rows).set_index(["group", "arm"]) if rows else pd.DataFrame()

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The figures of the report by name, as matplotlib figures."""
        return {picture.name: picture.figure for picture in report_on(self._sweep).pictures}

    def report(self) -> Path:
        """Write the report again.

        Returns:
            the path of its HTML page.
        """
        with progress_alone():
            publish(self.directory)
        self.__dict__.pop("summary", None)
        return self.page

    @property
    def page(self) -> Path:
        """The path of the report's HTML page."""
        return self.directory / FOLDER / "index.html"

    def __repr__(self) -> str:
        lines = [f"{self.summary['title']}  {self.summary['subject']}".strip()]
        lines += [
            f"  {row['group']}, {row['arm']}: {row['advice']}: {row['outcome']}"
            for row in self.summary["answers"]
        ]
        return "\n".join([*lines, *self.summary["verdict"], f"report: {self.page}"])

    def _repr_html_(self) -> str:
        summary = self.summary
        rows = [
            "".join(f"<td style='text-align: left'>{escape(str(row[key]))}</td>" for key in ANSWER)
            for row in summary["answers"]
        ]
        heads = "".join(
            f"<th style='text-align: left'>{heading}</th>"
            for heading in ("", "arm", "learning rate", "then the same?", "if kept instead")
        )
        table = f"<table><tr>{heads}</tr><tr>{'</tr><tr>'.join(rows)}</tr></table>" if rows else ""
        sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in summary["verdict"])
        cover = self.directory / FOLDER / f"{summary['cover']}.svg"
        drawing = cover.read_text("utf-8").partition("<svg") if summary["cover"] else ""
        return (
            f"<h4>{escape(summary['title'])}</h4>{table}{sentences}{''.join(drawing[1:])}"
            f"<p>Report: {escape(str(self.page))}</p>"
        )
