"""The experiment `lms`: measured misadjustment and learning curves compared with theory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from cvtrain import theory
from cvtrain.analysis.answer import signed_text
from cvtrain.analysis.load import Sweep
from cvtrain.experiments.claims import Claim, Estimate, records
from cvtrain.experiments.linear_problem import WIDELY_LINEAR
from cvtrain.experiments.linear_runs import read_linear_run
from cvtrain.experiments.registry import Experiment
from cvtrain.report.cells import Column, number, spread_text, words
from cvtrain.report.document import Document, Picture, Section, Sentence, Table
from cvtrain.report.figures.panels import Panels, rows_for
from cvtrain.report.figures.style import COLOURS, MARKERS, paper_style
from cvtrain.report.figures.ticks import common_limits, logarithmic

RealArray = npt.NDArray[np.float64]

SETTING = (
    *("model._target_", "data.circularity", "batch_size", "optimizer.lr", "optimizer.reference_lr"),
    *("objective.scale", "convention.scale"),
)
STEADY = 1 / 3
"""Last share of a run over which the misadjustment is measured."""
CHANCE = 0.05
"""Probability of calling any of the settings different if theory holds for all."""


@dataclass(frozen=True, eq=False)
class Setting:
    """The replicates of one filter, input and learning rate.

    Attributes:
        filter: `linear` or `widely linear`.
        lr: the learning rate.
        share: ratio of the learning rate to its mean-square limit.
        replicates: number of runs.
        steps: steps of the logged rows, `[T]`.
        measured: mean over replicates of the excess error, relative to J_min, `[T]`.
        error: standard error of `measured`, `[T]`.
        predicted: closed form of `measured`, `[T]`.
        misadjustment: mean of `measured` in the steady state.
        misadjustment_error: standard error of `misadjustment`, from one mean per replicate.
        misadjustment_predicted: mean of `predicted` in the steady state.
        limit_predicted: closed form of the misadjustment after infinitely many steps.
    """

    filter: str
    circularity: float
    lr: float
    share: float
    replicates: int
    steps: npt.NDArray[np.int64]
    measured: RealArray
    error: RealArray
    predicted: RealArray
    misadjustment: float
    misadjustment_error: float
    misadjustment_predicted: float
    limit_predicted: float

    @property
    def errors_off(self) -> float:
        """Measured minus predicted misadjustment, in standard errors."""
        return (self.misadjustment - self.misadjustment_predicted) / self.misadjustment_error


def settings(sweep: Sweep) -> list[Setting]:
    """Measure each filter, input and learning rate of the sweep on its finished replicates."""
    finished = sweep.runs[sweep.runs["status"] == "finished"]
    grouped = finished.groupby(list(SETTING), sort=False)
    return [_setting(sweep.directory, rows) for _, rows in grouped]


def report_lms(sweep: Sweep) -> Document:
    """Report measured and predicted misadjustments, and learning curves."""
    measured = settings(sweep)
    allowed = allowed_errors(len(measured))
    broken = [
        f"{s.filter}, ρ = {s.circularity:g}, {s.share:.4g} × limit: {s.errors_off:+.1f} errors"
        for s in measured
        if not abs(s.errors_off) <= allowed
    ]
    unfinished = int((sweep.runs["status"] != "finished").sum())
    if unfinished:
        broken.append(f"{unfinished} of {len(sweep.runs)} runs did not finish")
    worst = max((abs(s.errors_off) for s in measured), default=math.nan)
    text = (
        f"{len(measured)} misadjustments, which share data and seeds, lie within {worst:.1f}"
        " standard errors of theory."
        if measured
        else "No misadjustment was measured: no run has finished."
    )
    picture = Picture(
        "lms", "Learning curves, measured and predicted", learning_curves(measured), _seen(measured)
    )
    pictures = (picture,) if measured else ()
    return Document(
        title="LMS: misadjustment and learning curve",
        verdict=(Sentence(text, ("lms",)),),
        sections=(Section("LMS", tables=(_table(measured),), pictures=pictures),),
        broken=tuple(broken),
    )


def _seen(measured: list[Setting]) -> str:
    """The main observation in the learning curves, as a sentence."""
    meaning = "Marks are means over replicates with ± 2 standard errors, lines are theory"
    known = [s for s in measured if not math.isnan(s.errors_off)]
    if not known:
        return f"{meaning}."
    worst = max(known, key=lambda setting: abs(setting.errors_off))
    return (
        f"{meaning}. In the steady state marks and lines lie farthest apart for {worst.filter},"
        f" ρ = {worst.circularity:g}, {worst.share:.3g} × limit: {signed_text(worst.errors_off)}"
        " standard errors."
    )


def allowed_errors(comparisons: int) -> float:
    """The number of standard errors that the largest of this many normal deviations exceeds with
    probability `CHANCE`."""
    return float(stats.norm.isf(CHANCE / (2 * max(comparisons, 1))))


@paper_style
def learning_curves(measured: list[Setting]) -> Panels:
    """One panel per filter and input: excess error over J_min, measured (dots) and theory
    (lines)."""
    panels = list(dict.fromkeys((s.filter, s.circularity) for s in measured))
    columns = min(2, len(panels)) or 1
    figure = Panels(rows_for(len(panels), columns), columns)
    for axes, (name, circularity) in zip(figure.grid.ravel(), panels, strict=False):
        own = [s for s in measured if (s.filter, s.circularity) == (name, circularity)]
        for index, setting in enumerate(own):
            theory_label = "theory" if not index else None
            axes.plot(
                setting.steps, setting.predicted, color="0.2", linewidth=0.9, label=theory_label
            )
            axes.errorbar(
                setting.steps[::3],
                setting.measured[::3],
                2 * setting.error[::3],
                fmt=MARKERS[index % len(MARKERS)],
                markersize=3,
                linewidth=0.7,
                color=COLOURS[index % len(COLOURS)],
                label=f"{setting.share:.3g} × limit",
            )
        axes.set_title(f"{name}, ρ = {circularity:g}")
        axes.set_xlabel("step (one sample each)")
        axes.set_ylabel("excess error / least error")
        logarithmic(axes)
    common_limits(figure.grid.ravel(), "y")
    return figure.finish()


def _setting(directory: Path, rows: pd.DataFrame) -> Setting:
    first = rows.iloc[0]
    runs = [read_linear_run(directory / name) for name in rows["directory"]]
    problem, factor = runs[0].problem, runs[0].gradient_factor
    errors = np.stack([run.error for run in runs])  # [replicates, T, M]
    r = problem.covariance
    excess = np.einsum("kti,ij,ktj->kt", errors.conj(), r, errors, optimize=True).real
    excess /= problem.least
    initial = np.einsum("ki,kj->ij", errors[:, 0], errors[:, 0].conj()) / len(runs)
    batch, lr = int(first["batch_size"]), float(first["optimizer.lr"])
    input_and_rate: dict[str, Any] = {
        "lr": lr,
        "pseudo_covariance": problem.pseudo_covariance,
        "batch": batch,
        "gradient_factor": factor,
    }
    steps = runs[0].steps
    curve = theory.lms_excess_curve(
        r, initial, steps=int(steps[-1]), minimum=problem.least, **input_and_rate
    )
    predicted = curve[steps] / problem.least
    steady = steps >= (1 - STEADY) * steps[-1]
    per_run = excess[:, steady].mean(axis=1)
    root = np.sqrt(len(runs))
    return Setting(
        filter="widely linear" if first["model._target_"] == WIDELY_LINEAR else "linear",
        circularity=float(first["data.circularity"]),
        lr=lr,
        share=lr / float(first["optimizer.reference_lr"]),
        replicates=len(runs),
        steps=steps,
        measured=excess.mean(axis=0),
        error=excess.std(axis=0, ddof=1) / root,
        predicted=predicted,
        misadjustment=float(per_run.mean()),
        misadjustment_error=float(per_run.std(ddof=1) / root),
        misadjustment_predicted=float(predicted[steady].mean()),
        limit_predicted=theory.lms_misadjustment(r, **input_and_rate),
    )


def _table(measured: list[Setting]) -> Table:
    records = [
        {
            "filter": s.filter,
            "circularity": s.circularity,
            "lr": s.lr,
            "share": s.share,
            "predicted": s.misadjustment_predicted,
            "measured": s.misadjustment,
            "error": s.misadjustment_error,
            "errors_off": s.errors_off,
            "limit": s.limit_predicted,
            "runs": s.replicates,
        }
        for s in measured
    ]
    columns = (
        words("filter", "filter"),
        number("ρ", "circularity", "g"),
        number("lr", "lr"),
        number("lr / limit", "share"),
        number("predicted", "predicted", ".5f"),
        Column("measured", lambda r: spread_text(r["measured"], r["error"], ".5f")),
        Column("off by", lambda r: f"{signed_text(r['errors_off'], '+.1f')} errors"),
        number("as steps → ∞", "limit", ".5f"),
        number("runs", "runs", "d"),
    )
    title = "misadjustment: excess error over the least one"
    caption = (
        "lr is PyTorch's; with the textbook's gradient, half of it, twice that lr does the same"
    )
    return Table("lms", title, columns, tuple(records), caption)


def _ratio(document: Document) -> Estimate | None:
    """Measured over predicted misadjustment, mean over settings. The settings share data and seeds,
    so their errors are averaged as if they were fully correlated."""
    rows = records(document, "lms")
    if not rows:
        return None
    ratio = float(np.mean([row["measured"] / row["predicted"] for row in rows]))
    error = float(np.mean([row["error"] / row["predicted"] for row in rows]))
    return Estimate(ratio, ratio - 1.96 * error, ratio + 1.96 * error)


EXPERIMENT = Experiment(
    report_lms,
    quick=(
        *("seed=range(0,16)", "data.samples=10000"),
        *("max_steps=250", "signals.validation_every=250"),
    ),
    claims=(
        Claim(
            "The misadjustment equals that of theory within 5 %.",
            _ratio,
            0.95,
            1.05,
            "of theory",
            form=".3f",
        ),
    ),
)
