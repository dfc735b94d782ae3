"""What the experiment `stability` found: measured convergence on either side of the limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from cvtrain import theory
from cvtrain.report.arms import arm_name
from cvtrain.report.figures import COLOURS, MARKERS, PANEL, new_figure, save_figure
from cvtrain.report.linear_runs import LinearRun, read_linear_run
from cvtrain.report.load import load
from cvtrain.report.terminal import FOLDER, summary_console

CONVERGED = 1e-3
"""Share of its initial excess loss below which a finished run counts as converged."""
CURVE_TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False)
class Trial:
    """A training at a known share of its limit.

    Attributes:
        rule: `gradient descent`, `heavy ball` or `Nesterov`.
        arm: scale and convention.
        limit: the predicted one.
        share: the learning rate over the limit.
        outcome: `converged`, `diverged`, or `neither`.
        steps: updates it made.
        deviation: of the losses from the closed form, relative, the largest; NaN where there is no
            closed form, and where a diverging run loses all digits.
        run: what it measured.
    """

    rule: str
    arm: str
    limit: float
    share: float
    outcome: str
    steps: int
    deviation: float
    run: LinearRun

    @property
    def as_predicted(self) -> bool:
        """Whether it converged just where it should, and along the closed form."""
        expected = "converged" if self.share < 1 else "diverged"
        return self.outcome == expected and not self.deviation > CURVE_TOLERANCE


def trials(directory: Path) -> list[Trial]:
    """Every run of the sweep in `directory` that was trained."""
    runs = load(directory).runs
    trained = runs[runs["status"].isin(["finished", "diverged"])]
    return [_trial(directory, row) for row in trained.to_dict("records")]


def print_stability(directory: Path) -> str | None:
    """Print predicted limits beside what happened around them, and draw the learning curves.

    Returns:
        what does not hold, in one line, or None.
    """
    console = summary_console()
    found = trials(directory)
    console.print(_table(found))
    deviations = [trial.deviation for trial in found if trial.deviation == trial.deviation]
    if deviations:
        console.print(
            f"gradient descent: losses on the closed form to {max(deviations):.1e}", highlight=False
        )
    for path in save_figure(learning_curves(found), directory / FOLDER / "stability"):
        console.print(f"picture: {path}", highlight=False, markup=False, soft_wrap=True)
    total = len(load(directory).runs)
    broken = [f"{t.rule}, {t.arm}, {t.share:.4g} × limit" for t in found if not t.as_predicted]
    if len(found) < total:
        broken.append(f"{total - len(found)} runs did not end")
    return f"{len(broken)} claims do not hold: {'; '.join(broken[:5])}" if broken else None


def learning_curves(found: list[Trial]) -> Figure:
    """A panel per rule: excess loss over steps, measured (markers) and in theory (lines)."""
    rules = list(dict.fromkeys(trial.rule for trial in found))
    figure = new_figure(PANEL[0] * len(rules), PANEL[1] + 0.6)
    shares = sorted({round(trial.share, 6) for trial in found})
    for axes, rule in zip(figure.subplots(1, len(rules), squeeze=False)[0], rules, strict=True):
        ours = [trial for trial in found if trial.rule == rule]
        for place, share in enumerate(shares):
            _curves(axes, [t for t in ours if round(t.share, 6) == share], place)
        axes.set_title(rule)
        axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.grid(visible=True, alpha=0.3, linewidth=0.5)
    figure.axes[0].set_ylabel("loss − least loss")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    return figure


def _curves(axes: Axes, ours: list[Trial], place: int) -> None:
    """One share of the limit: the arms lie on each other, and are drawn as markers in turn."""
    for turn, trial in enumerate(ours):
        steps, excess = _excess(trial.run)
        chosen = slice(turn * 4, None, 16)
        axes.plot(
            steps[chosen],
            excess[chosen],
            linestyle="none",
            marker=MARKERS[turn % len(MARKERS)],
            markersize=4,
            color=COLOURS[place],
            label=f"{trial.share:.4g} × limit, {trial.arm}",
        )
    if ours and ours[0].rule == "gradient descent":
        steps = np.arange(int(ours[0].run.steps[-1]) + 1)
        curve = _closed_form(ours[0], len(steps) - 1)
        shown = curve > np.finfo(float).eps
        axes.plot(steps[shown], curve[shown], color="0.2", linewidth=0.9)


def _trial(directory: Path, row: dict[Any, Any]) -> Trial:
    run = read_linear_run(directory / row["directory"])
    excess = run.losses[:-1] - run.problem.least
    if row["status"] == "diverged":
        outcome = "diverged"
    else:
        outcome = "converged" if excess[-1] < CONVERGED * excess[0] else "neither"
    trial = Trial(
        rule=row["variant"],
        arm=arm_name(
            row["objective.scale"], row["convention.scale"], row["convention.conjugate"], 0.0
        ),
        limit=float(row["optimizer.reference_lr"]),
        share=float(row["optimizer.lr"] / row["optimizer.reference_lr"]),
        outcome=outcome,
        steps=int(row["steps"]),
        deviation=np.nan,
        run=run,
    )
    if row["optimizer.momentum"] or outcome == "diverged":
        return trial
    steps = run.steps[:-1]
    expected = run.problem.least + _closed_form(trial, int(steps[-1]))[steps]
    deviation = float(np.abs(run.losses[:-1] / expected - 1).max())
    return Trial(**{**vars(trial), "deviation": deviation})


def _excess(run: LinearRun) -> tuple[Any, Any]:
    """Steps and excess losses, as far as the digits of the loss show them."""
    excess = run.losses - run.problem.least
    rows = excess > np.finfo(float).eps
    return run.steps[rows], excess[rows]


def _closed_form(trial: Trial, steps: int) -> Any:
    """Excess losses of gradient descent."""
    return theory.gd_learning_curve(
        trial.run.problem.covariance,
        trial.run.error[0],
        lr=trial.share * trial.limit,
        steps=steps,
        gradient_factor=trial.run.gradient_factor,
    )


def _table(found: list[Trial]) -> Table:
    shares = sorted({round(trial.share, 6) for trial in found})
    table = Table(title="learning rates around the predicted limit", title_justify="left")
    for column in ("rule", "arm", "limit", *(f"{share:.4g} × limit" for share in shares)):
        table.add_column(column, justify="left" if column in ("rule", "arm") else "right")
    for rule, arm, limit in dict.fromkeys((t.rule, t.arm, t.limit) for t in found):
        ours = [t for t in found if (t.rule, t.arm) == (rule, arm)]
        cells = {round(t.share, 6): f"{t.outcome} ({t.steps})" for t in ours}
        table.add_row(rule, arm, f"{limit:.6g}", *(cells.get(share, "") for share in shares))
    table.caption = "in brackets: steps made"
    table.caption_justify = "left"
    return table
