"""The experiment `adam_eps`: by how many octaves half of the loss moves Adam's learning-rate curve,
over eps in units of the gradient's entries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from cvtrain.analysis.arms import CONTROL
from cvtrain.analysis.compare import compare
from cvtrain.analysis.load import Sweep
from cvtrain.analysis.predicted_factor import runs_near_best
from cvtrain.analysis.registration import Registration, register
from cvtrain.experiments.claims import Claim, Measure, row_estimate
from cvtrain.experiments.lr_factor import prediction_bias
from cvtrain.experiments.registry import Experiment, variants_override
from cvtrain.report.cells import Column, interval_ends, interval_text, number, rate_text
from cvtrain.report.document import Document, Picture, Section, Sentence, Table
from cvtrain.report.figures.panels import Panels
from cvtrain.report.figures.style import paper_style, style_of
from cvtrain.report.figures.ticks import log_ticks, number_label
from cvtrain.theory import epsilon_octaves

EXPONENTS = (-47, -27, -17, -13, -11, -10, -9, -8, -7, -6, -5, -4, 0)
"""log₂ of every eps: from 10⁻¹² to 100 times the size of the gradient's entries."""
BEST_RATE, SIZE = 2.0**-7, 2.0**-7
"""Near the best learning rate as eps → 0, and near the size of the gradient's entries: powers of
two around which rates are tried."""
NORM = "grad/norm"
TABLE = "adam_eps"


def variants() -> list[list[str]]:
    """Overrides of each eps, with learning rates around the best one: steps are shorter by
    |g|/(|g| + eps)."""
    return [
        [
            f"variant='eps 2^{exponent}'",
            f"optimizer.eps={2.0**exponent!r}",
            f"optimizer.reference_lr={max(1.0, 2.0**exponent / SIZE) * BEST_RATE!r}",
        ]
        for exponent in EXPONENTS
    ]


@dataclass(frozen=True)
class Crossing:
    """What half of the loss does at one eps.

    Attributes:
        eps: Adam's eps.
        size: root mean square of the entries' real and imaginary parts in the gradient that Adam
            gets, over the logged updates of the reference's runs near its best rate; NaN without
            such runs.
        measured: the curve of half of the loss laid on the reference's.
    """

    eps: float
    size: float
    measured: Registration

    @property
    def ratio(self) -> float:
        """eps in units of the gradient's entries."""
        return self.eps / self.size

    @property
    def predicted(self) -> float:
        """Octaves that theory predicts; NaN without a size."""
        return epsilon_octaves(self.ratio) if self.size > 0 else math.nan


def crossings(sweep: Sweep) -> list[Crossing]:
    """The effect of half of the loss at every eps, ascending."""
    compared = compare(sweep)
    measured = []
    for group in compared.groups:
        arms = [arm for arm in group.arms if arm.name not in (group.reference, CONTROL)]
        if group.base is None or len(arms) != 1:
            continue
        rows = compared.runs
        rows = rows[(rows["group"] == group.name) & (rows["arm"] == group.reference)]
        registration = register(group.base.grid, arms[0].grid, group.margin_loss, group.untrained)
        size = entry_size(sweep, runs_near_best(rows, group.base))
        measured.append(Crossing(float(rows["optimizer.eps"].iloc[0]), size, registration))
    return sorted(measured, key=lambda one: one.eps)


def entry_size(sweep: Sweep, runs: pd.DataFrame) -> float:
    """Root mean square of the real and imaginary parts of the gradient's entries over the logged
    updates of `runs`; NaN if nothing was logged."""
    parts = 2 * runs["parameters.complex"] + runs["parameters.real"]
    squares = [
        float(np.square(table[NORM].dropna()).mean()) / float(parts.loc[label])
        for label, table in sweep.signals(lambda tag: tag == NORM, runs).items()
    ]
    return math.sqrt(np.mean(squares)) if squares else math.nan


def report_adam_eps(sweep: Sweep) -> Document:
    """Report measured and predicted octaves over eps."""
    rows = crossings(sweep)
    return Document(
        title="By how many octaves does half of the loss move Adam's learning rate?",
        verdict=tuple(describe(rows)),
        cover=Picture(
            TABLE,
            "Octaves of the learning rate that compensate half of the loss, over eps",
            epsilon_figure(rows),
            "The line is log₂((1 + 2r)/(1 + r)) with r = eps/|g|, in which no number is fitted;"
            f" points are measured, with 95 % intervals. {prediction_error(rows)}",
        )
        if rows
        else None,
        sections=(Section("eps", tables=(epsilon_table(rows),)),),
    )


def describe(rows: Sequence[Crossing]) -> Iterator[Sentence]:
    """Sentences on both ends, on the eps between them and on the error of the prediction."""
    known = [one for one in rows if not math.isnan(one.measured.shift.mean)]
    if not known:
        yield Sentence("No curve of half of the loss is known yet.")
        return
    for one in dict.fromkeys((known[0], known[-1])):
        shift = one.measured.shift
        yield Sentence(
            f"At eps = {_times(one.ratio)} the learning rate moves by"
            f" {interval_text(shift.mean, shift.low, shift.high)} octaves.",
            (TABLE,),
        )
    half = _half(known)
    if not math.isnan(half):
        yield Sentence(
            f"It moves by half an octave at eps = {_times(half)}, interpolated; theory says"
            f" {math.sqrt(0.5):.1f} · |g|.",
            (TABLE,),
        )
    yield Sentence(prediction_error(rows), (TABLE,))


def _half(rows: Sequence[Crossing]) -> float:
    """The eps/|g| at which the measured octaves pass ½, interpolated over log eps; NaN if none."""
    for low, high in pairwise(rows):
        ends = low.measured.shift.mean, high.measured.shift.mean
        if ends[0] < 0.5 <= ends[1]:
            return float(np.exp(np.interp(0.5, ends, np.log([low.ratio, high.ratio]))))
    return math.nan


def _times(ratio: float) -> str:
    return f"{_rounded(ratio, 1) or 'unknown'} · |g|"


def _rounded(value: float, digits: int) -> str:
    return "" if math.isnan(value) else number_label(float(f"{value:.{digits}g}"))


def _errors(rows: Sequence[Crossing]) -> list[float]:
    """Predicted minus measured octaves, where both are known."""
    errors = (one.predicted - one.measured.shift.mean for one in rows)
    return [error for error in errors if not math.isnan(error)]


def prediction_error(rows: Sequence[Crossing]) -> str:
    """The root mean square error and the largest error of the prediction, as a sentence."""
    errors = _errors(rows)
    if not errors:
        return "No eps has both a predicted and a measured shift."
    size = math.sqrt(np.mean(np.square(errors)))
    return (
        f"Predicted and measured octaves differ by {size:.2f} (root mean square over {len(errors)}"
        f" eps), at most by {max(map(abs, errors)):.2f}."
    )


def epsilon_table(rows: Sequence[Crossing]) -> Table:
    """A row per eps."""
    table_rows = tuple(
        {
            "eps": one.eps,
            "size": one.size,
            "ratio": one.ratio,
            "predicted": one.predicted,
            **interval_ends("measured", one.measured.shift),
            **interval_ends("rest", one.measured.ratio.map(lambda part: 100 * part)),
            "reason": one.measured.reason or "",
        }
        for one in rows
    )
    columns = (
        Column("eps", lambda r: rate_text(r["eps"])),
        number("|g|", "size", ".2g"),
        Column("eps/|g|", lambda r: _rounded(r["ratio"], 2)),
        Column("predicted", lambda r: interval_text(r["predicted"], math.nan, math.nan)),
        Column(
            "measured",
            lambda r: interval_text(r["measured"], r["measured_low"], r["measured_high"]),
            note=lambda r: r["reason"],
        ),
        Column(
            "test loss then, %",
            lambda r: interval_text(r["rest"], r["rest_low"], r["rest_high"], "+.1f"),
        ),
    )
    caption = (
        "octaves by which the learning rate moves if the loss is halved and eps kept; |g|: root"
        " mean square of the real and imaginary parts of the gradient's entries over the logged"
        " updates of the reference's runs at rates near its best; predicted: log₂((1 + 2r)/(1 + r))"
        " with r = eps/|g|; measured: by registration of the curves; test loss then: change that"
        " remains once the rate is moved; 95 % intervals over seeds"
    )
    return Table(TABLE, "predicted and measured octaves", columns, table_rows, caption)


@paper_style
def epsilon_figure(rows: Sequence[Crossing]) -> Panels:
    """Measured octaves over eps/|g| with intervals, and the prediction as a line."""
    figure = Panels(1, 1)
    (axes,) = figure.grid[0]
    known = [one for one in rows if not math.isnan(one.measured.shift.mean) and one.size > 0]
    if known:
        ends = math.log10(known[0].ratio) - 0.5, math.log10(known[-1].ratio) + 0.5
        line = np.logspace(*ends, 200)
        axes.plot(line, [epsilon_octaves(r) for r in line], color="0.3", label="predicted")
    for one in known:
        shift = one.measured.shift
        below, above = (
            0.0 if math.isnan(e) else abs(e - shift.mean) for e in (shift.low, shift.high)
        )
        style = style_of(0) | {"linestyle": "none"}
        axes.errorbar(one.ratio, shift.mean, yerr=[[below], [above]], label="measured", **style)
    if known:
        axes.set_xscale("log")
        limits = axes.get_xlim()
        # One at the end would have its number cut.
        ticks = [tick for tick in log_ticks(*limits) if tick < limits[1] / 2]
        axes.set_xticks(ticks, [number_label(tick) for tick in ticks])
        axes.set_xlim(limits)  # a tick beyond them would widen them
        axes.minorticks_off()
    axes.set_xlabel("eps / |g|")
    axes.set_ylabel("octaves")
    return figure.finish()


def _of_eps(exponent: int) -> Measure:
    return row_estimate(TABLE, {"eps": 2.0**exponent}, "measured")


EXPERIMENT = Experiment(
    report_adam_eps,
    variants,
    quick=(
        variants_override([variants()[2], variants()[-1]]),
        *("seed=0,1", "lr_octave=-1,0", "max_steps=10", "signals.validation_every=10"),
    ),
    claims=(
        Claim(
            "At Adam's usual eps (2⁻²⁷, 7·10⁻⁹) half of the loss does not move the rate.",
            _of_eps(-27),
            *(-0.01, 0.01, "octaves"),
        ),
        Claim(
            "If eps is the size of the gradient's entries, it moves by ⅓ to ¾ of an octave.",
            _of_eps(-7),
            *(1 / 3, 3 / 4, "octaves"),
        ),
        Claim(
            "If eps is a hundred times that size, it moves it by an octave.",
            _of_eps(0),
            *(0.95, 1.05, "octaves"),
        ),
        Claim(
            "The mean error of the prediction over eps is below 0.05 octave.",
            prediction_bias(TABLE),
            *(-0.05, 0.05, "octaves"),
        ),
    ),
)
