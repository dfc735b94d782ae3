"""Runs of linear regressions: measured losses and weights, with the problem that they solve."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cvtrain.analysis.load import read_metrics, readable, whole_steps
from cvtrain.experiments.linear_problem import WEIGHTS, LinearProblem, linear_problem
from cvtrain.process.errors import InputError
from cvtrain.runs.metrics_csv import FILE_NAME as METRICS_FILE
from cvtrain.runs.run_json import FILE_NAME as RUN_FILE
from cvtrain.runs.run_json import read_run
from cvtrain.theory.moments import ComplexArray


@dataclass(frozen=True, eq=False)
class LinearRun:
    """One run of the model `linear` or `widely_linear`.

    Attributes:
        problem: the least-squares problem of its data.
        gradient_factor: factor on PyTorch's gradient of the unscaled loss.
        steps: steps of the logged rows, `[T]`.
        losses: training losses `[T]`; NaN in the last row, which has none.
        error: w − w° `[T, M]` at the logged rows.
    """

    problem: LinearProblem
    gradient_factor: float
    steps: npt.NDArray[np.int64]
    losses: npt.NDArray[np.float64]
    error: ComplexArray


def read_linear_run(directory: Path) -> LinearRun:
    """Read a run directory.

    Raises:
        InputError: the run has another model, its weights were not traced entry by entry, or a file
            cannot be read.
    """
    with readable(directory / RUN_FILE):
        config = read_run(directory / RUN_FILE).config
        target = config["model"]["_target_"]
        settings = {"data": config["data"], "dtype": config["dtype"], "model._target_": target}
        problem = linear_problem(settings)
        factor = float(config["objective"]["scale"] * config["convention"]["scale"])
    with readable(directory / METRICS_FILE):
        rows = pd.read_csv(StringIO(read_metrics(directory)))
        rows["step"] = whole_steps(rows["step"])
        taps = len(problem.optimum) // len(WEIGHTS[target])
        names = [f"{name}/{{}}[0,{j}]" for name in WEIGHTS[target] for j in range(taps)]
        rows = rows.dropna(subset=[_traced(rows, names[0].format("real"))])
        weights = _columns(rows, names, "real") + 1j * _columns(rows, names, "imag")
        steps = rows["step"].to_numpy(dtype=np.int64)
        losses = rows["train/loss"].to_numpy(dtype=np.float64)
    return LinearRun(problem, factor, steps, losses, weights - problem.optimum)


def _columns(rows: pd.DataFrame, names: list[str], part: str) -> Any:
    tags = [_traced(rows, name.format(part)) for name in names]
    return rows[tags].to_numpy(dtype=np.float64)


def _traced(rows: pd.DataFrame, name: str) -> str:
    tag = f"weight/{name}"
    if tag not in rows:
        raise InputError(f"signals.elementwise: should cover all weights; {name} was not traced")
    return tag
