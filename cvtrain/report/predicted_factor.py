"""Predicted and measured factors of the learning rate: table, figure and sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cvtrain.analysis.predicted_factor import PredictedFactor
from cvtrain.report.cells import Column, interval_text, number, number_text, words
from cvtrain.report.document import Picture, Section, Sentence, Table
from cvtrain.report.figures.panels import Panels
from cvtrain.report.figures.style import COLOURS, paper_style, style_of
from cvtrain.theory import factor_octaves

TABLE = "predicted_factors"
FILLS = "full", "none", "left", "bottom"
"""Fill styles of marks, which distinguish more networks than there are colours."""
LEAST_ARMS = 3
"""Smallest number of arms for which a correlation is reported."""


def factor_section(factors: Sequence[PredictedFactor], *, drawn: bool = True) -> Section:
    """A section with the table and error of the prediction, and the figure if `drawn`."""
    return Section(
        "Predicted from the gradient",
        sentences=(Sentence(f"{prediction_error(factors)}.", (TABLE,)),),
        tables=(factor_table(factors),),
        pictures=(factor_picture(factors),) if drawn else (),
    )


def factor_picture(factors: Sequence[PredictedFactor]) -> Picture:
    """The figure of predicted and measured octaves, with a caption."""
    return Picture(
        TABLE,
        "Octaves over the complex share of the squared gradient",
        factor_figure(factors),
        "The line is −log₂(1 − s/2), in which no number is fitted; marks are measured, with 95 %"
        f" intervals. {prediction_error(factors)}.",
    )


def factor_table(factors: Sequence[PredictedFactor]) -> Table:
    """Predicted and measured octaves, one row per group and arm."""
    records = tuple(
        {
            "group": one.group,
            "network": network_name(one.group),
            "arm": one.arm,
            "share": one.share,
            "predicted": one.predicted,
            "by_log_loss": one.by_weight["log loss"],
            "by_updates": one.by_weight["updates"],
            "measured": one.measured.mean,
            "low": one.measured.low,
            "high": one.measured.high,
            "runs": one.runs,
            "reason": one.reason or "",
        }
        for one in factors
    )
    columns = (
        words("network", "network"),
        *([words("arm", "arm")] if len({one.arm for one in factors}) > 1 else []),
        number("share s", "share", ".3f"),
        number("predicted", "predicted", "+.2f"),
        Column(
            "measured",
            lambda r: interval_text(r["measured"], r["low"], r["high"]),
            note=lambda r: r["reason"],
        ),
        Column(
            "factor",
            lambda r: "" if math.isnan(r["measured"]) else f"× {2 ** r['measured']:.2f}",
        ),
    )
    caption = (
        "octaves by which the learning rate moves; share s: of the squared gradient of the whole"
        " training set that complex parameters carry, along the reference's training at the rates"
        " near its best, averaged by the fall of the loss; predicted: log₂ of the mean of"
        " 1/(1 − (1 − c)·s), likewise;"
        " measured: by registration of the curves, 95 % intervals over seeds or data splits"
    )
    return Table(TABLE, "predicted and measured octaves", columns, records, caption)


def network_name(group: str) -> str:
    """The variant in the name of a group if it has one, e.g. ``mixed [64]``, else the whole
    name."""
    return group.partition("variant=")[2] or group


def prediction_error(factors: Sequence[PredictedFactor]) -> str:
    """Root mean square error and correlation over the measured arms, in words."""
    known = [one for one in factors if not math.isnan(one.error)]
    if not known:
        return "No arm has both a share and a measured shift"
    error = math.sqrt(np.mean([one.error**2 for one in known]))
    text = (
        f"Predicted and measured octaves of {len(known)} arm{'s' if len(known) > 1 else ''}"
        f" differ by {error:.2f}"
        " (root mean square)"
    )
    predicted = [one.predicted for one in known]
    measured = [one.measured.mean for one in known]
    if len(known) < LEAST_ARMS or not (np.ptp(predicted) and np.ptp(measured)):
        return text
    correlation = float(np.corrcoef(predicted, measured)[0, 1])
    return f"{text}; correlation {number_text(correlation, '.2f')}"


@paper_style
def factor_figure(factors: Sequence[PredictedFactor]) -> Panels:
    """Measured octaves over the share, with the prediction as a line; one mark per network."""
    figure = Panels(1, 1)
    (axes,) = figure.grid[0]
    shares = np.linspace(0, 1, 101)
    axes.plot(shares, [factor_octaves(s) for s in shares], color="0.3", label="−log₂(1 − s/2)")
    known = [one for one in factors if not math.isnan(one.measured.mean)]
    for index, one in enumerate(known):
        ends = one.measured
        style = style_of(index)
        below, above = (0.0 if math.isnan(e) else abs(e - ends.mean) for e in (ends.low, ends.high))
        axes.errorbar(
            one.share,
            ends.mean,
            yerr=[[below], [above]],
            linestyle="none",
            marker=style["marker"],
            color=COLOURS[index % len(COLOURS)],
            fillstyle=FILLS[index // len(COLOURS) % len(FILLS)],
            label=network_name(one.group),
        )
    axes.set_xlabel("share s of the squared gradient")
    axes.set_ylabel("octaves")
    return figure.finish()
