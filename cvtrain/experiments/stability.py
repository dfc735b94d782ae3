"""The experiment `stability`: measured convergence on both sides of the predicted limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from cvtrain import theory
from cvtrain.analysis.arms import arm_name
from cvtrain.analysis.load import Sweep
from cvtrain.experiments.claims import Claim, counted_facts
from cvtrain.experiments.linear_runs import LinearRun, read_linear_run
from cvtrain.experiments.registry import Experiment
from cvtrain.report.cells import number, words
from cvtrain.report.document import Document, Picture, Section, Sentence, Table
from cvtrain.report.figures.panels import Panels
from cvtrain.report.figures.style import COLOURS, MARKERS, paper_style
from cvtrain.report.figures.ticks import common_limits, logarithmic

CONVERGED = 1e-3
"""A finished run has converged if its excess loss is below this share of the initial one."""
CURVE_TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False)
class Trial:
    """A training at a known share of its limit.

    Attributes:
        rule: `gradient descent`, `heavy ball` or `Nesterov`.
        arm: scale and convention.
        limit: the predicted largest stable learning rate.
        share: ratio of the learning rate to the limit.
        outcome: `converged`, `diverged`, or `neither`.
        steps: number of updates.
        deviation: largest relative deviation of the losses from the closed form; NaN without a
            closed form, or if a diverging run loses all digits.
        run: the measured losses and weights.
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
        """Whether it converged or diverged as predicted, and along the closed form."""
        expected = "converged" if self.share < 1 else "diverged"
        return self.outcome == expected and not self.deviation > CURVE_TOLERANCE


def trials(sweep: Sweep) -> list[Trial]:
    """Every finished or diverged run of the sweep."""
    trained = sweep.runs[sweep.runs["status"].isin(["finished", "diverged"])]
    return [_trial(sweep.directory, row) for row in trained.to_dict("records")]


def report_stability(sweep: Sweep) -> Document:
    """Report the outcomes around the predicted limits, and learning curves."""
    ended = trials(sweep)
    broken = [f"{t.rule}, {t.arm}, {t.share:.4g} × limit" for t in ended if not t.as_predicted]
    if len(ended) < len(sweep.runs):
        broken.append(f"{len(sweep.runs) - len(ended)} runs did not end")
    below = [trial for trial in ended if trial.share < 1]
    above = [trial for trial in ended if trial.share > 1]
    converged = sum(trial.outcome == "converged" for trial in below)
    diverged = sum(trial.outcome == "diverged" for trial in above)
    sentences = [
        f"{converged} of {len(below)} runs below their limit converge, {diverged} of {len(above)}"
        " above it diverge."
    ]
    deviations = [trial.deviation for trial in ended if trial.deviation == trial.deviation]
    if deviations:
        worst = max(deviations)
        sentences.append(f"Losses of gradient descent lie on the closed form to {worst:.1e}.")
    seen = (
        "Marks are measured, the arms of a learning rate take turns; lines are the closed form of"
        f" gradient descent. {converged} of {len(below)} curves below the limit fall to"
        f" {CONVERGED:g} of their first value, {diverged} of {len(above)} above it diverge."
    )
    picture = Picture("stability", "Learning curves around the limit", learning_curves(ended), seen)
    pictures = (picture,) if ended else ()
    return Document(
        title="Stability: how large a learning rate may be",
        verdict=tuple(Sentence(text, ("stability",)) for text in sentences),
        sections=(Section("Stability", tables=(_table(ended),), pictures=pictures),),
        broken=tuple(broken),
        facts={"trials": len(sweep.runs), "as_predicted": sum(t.as_predicted for t in ended)},
    )


@paper_style
def learning_curves(ended: list[Trial]) -> Panels:
    """One panel per rule: excess loss over steps, measured (markers) and in theory (lines)."""
    rules = list(dict.fromkeys(trial.rule for trial in ended))
    figure = Panels(1, len(rules))
    shares = sorted({round(trial.share, 6) for trial in ended})
    for axes, rule in zip(figure.grid[0], rules, strict=True):
        own = [trial for trial in ended if trial.rule == rule]
        for index, share in enumerate(shares):
            _curves(axes, [t for t in own if round(t.share, 6) == share], index)
        axes.set_title(rule)
        axes.set_xlabel("step")
        axes.set_ylabel("loss − least loss")
        logarithmic(axes)
    common_limits(figure.grid[0], "y")
    return figure.finish()


def _curves(axes: Axes, own: list[Trial], index: int) -> None:
    """Draw the trials of one share of the limit; arms coincide, so their markers alternate."""
    for turn, trial in enumerate(own):
        steps, excess = _excess(trial.run)
        chosen = slice(turn * 4, None, 16)
        axes.plot(
            steps[chosen],
            excess[chosen],
            linestyle="none",
            marker=MARKERS[turn % len(MARKERS)],
            markersize=3,
            color=COLOURS[index],
            label=f"{trial.share:.4g} × limit, {trial.arm}",
        )
    if own and own[0].rule == "gradient descent":
        steps = np.arange(int(own[0].run.steps[-1]) + 1)
        curve = _closed_form(own[0], len(steps) - 1)
        significant = curve > np.finfo(float).eps
        axes.plot(
            steps[significant], curve[significant], color="0.2", linewidth=0.9, label="closed form"
        )


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
    """Steps and excess losses, up to the last step at which the loss has digits that show them."""
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


def _table(ended: list[Trial]) -> Table:
    shares = sorted({round(trial.share, 6) for trial in ended})
    records = []
    for rule, arm, limit in dict.fromkeys((t.rule, t.arm, t.limit) for t in ended):
        own = [t for t in ended if (t.rule, t.arm) == (rule, arm)]
        cells = {round(t.share, 6): f"{t.outcome} ({t.steps})" for t in own}
        at = {f"{share:.4g} × limit": cells.get(share, "") for share in shares}
        records.append({"rule": rule, "arm": arm, "limit": limit, **at})
    columns = (
        words("rule", "rule"),
        words("arm", "arm"),
        number("limit", "limit", ".6g"),
        *(words(name, name) for name in (f"{share:.4g} × limit" for share in shares)),
    )
    title = "learning rates around the predicted limit"
    return Table("stability", title, columns, tuple(records), "in brackets: steps made")


EXPERIMENT = Experiment(
    report_stability,
    quick=("lr_octave=-0.00723157,0.00719555", "signals.scalars_every=40"),
    claims=(
        Claim(
            "Runs converge below the predicted limit and diverge above it.",
            counted_facts("as_predicted", "trials"),
        ),
    ),
)
