"""The experiment `lr_transfer`: does the best learning rate of a narrow network hold in a wide one,
in the standard parametrisation and under maximal update, and does a convention change that?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from cvtrain.analysis.answer import signed_text
from cvtrain.analysis.arms import REFERENCE
from cvtrain.analysis.load import Sweep
from cvtrain.analysis.width_transfer import Network, Transfer, networks, transfers
from cvtrain.experiments.claims import Claim, row_estimate
from cvtrain.experiments.registry import Experiment, variants_override
from cvtrain.report.cells import Column, interval_ends, interval_text, number, rate_text, words
from cvtrain.report.document import Document, Picture, Section, Sentence, Table
from cvtrain.report.figures.panels import Panels
from cvtrain.report.figures.style import paper_style, style_of
from cvtrain.report.figures.ticks import common_limits, logarithmic, octave_axis

WIDTHS = 32, 64, 128, 256
NAMES = {"standard": "standard", "mup_sgd": "maximal update"}
"""Of parametrisations, in words."""
NETWORKS, SLOPES = "widths", "transfer"


def variants() -> list[list[str]]:
    """Overrides of each parametrisation at each width; all are the same network at the first."""
    return [
        [
            f"variant='{name}, {width} wide'",
            f"model.parametrisation={parametrisation}",
            f"model.hidden=[{width},{width}]",
        ]
        for parametrisation, name in NAMES.items()
        for width in WIDTHS
    ]


def report_transfer(sweep: Sweep) -> Document:
    """Report how the best learning rate moves with the width, and what it costs to keep it."""
    rows = networks(sweep)
    moved = list(transfers(rows))
    return Document(
        title="Does the best learning rate of a narrow network hold in a wide one?",
        verdict=tuple(describe(rows, moved)),
        cover=Picture(
            "transfer",
            "Validation loss over the learning rate, a line per width",
            transfer_figure(rows),
            seen_in(rows),
        )
        if rows
        else None,
        sections=(Section("Widths", tables=(slope_table(moved), network_table(rows))),),
    )


def describe(rows: Sequence[Network], moved: Sequence[Transfer]) -> Iterator[Sentence]:
    """By what the curve moves, what keeping the rate costs, and what a convention changes."""
    if not any(one.slope.known for one in moved):
        yield Sentence("No curve is known at two widths yet.")
        return
    narrow, wide = min(row.width for row in rows), max(row.width for row in rows)
    for one in moved:
        if one.difference is None and one.slope.known:
            text = interval_text(one.slope.mean, one.slope.low, one.slope.high)
            yield Sentence(
                f"{_name(one.parametrisation).capitalize()}, {one.arm}: where the width is"
                f" doubled, the curve of the loss moves by {text} octaves."
                f" {_cost(rows, one, narrow, wide)}",
                (SLOPES, NETWORKS),
            )
    changed = [
        f"{_name(one.parametrisation)}, {one.arm}"
        f" {interval_text(one.difference.mean, one.difference.low, one.difference.high)}"
        for one in moved
        if one.difference is not None and one.difference.known
    ]
    if changed:
        yield Sentence(
            f"What other arms change of that, octaves per doubling: {'; '.join(changed)}.",
            (SLOPES,),
        )
    factors = list(_factors(rows))
    if factors:
        yield Sentence(
            f"The factor of the learning rate, from width {narrow} to {wide}:"
            f" {'; '.join(factors)}.",
            (NETWORKS,),
        )


def _factors(rows: Sequence[Network]) -> Iterator[str]:
    """The factor that an arm's curve asks for, of the narrowest and the widest network."""
    for parametrisation, arm in dict.fromkeys((row.parametrisation, row.arm) for row in rows):
        shifts = [
            row.shift
            for row in rows
            if (row.parametrisation, row.arm) == (parametrisation, arm) and row.shift is not None
        ]
        if len(shifts) > 1 and shifts[0].known and shifts[-1].known:
            first, last = (2**shift.mean for shift in (shifts[0], shifts[-1]))
            yield f"{_name(parametrisation)}, {arm} × {first:.2f} to × {last:.2f}"


def _cost(rows: Sequence[Network], one: Transfer, narrow: int, wide: int) -> str:
    row = next(
        r
        for r in rows
        if (r.parametrisation, r.arm, r.width) == (one.parametrisation, one.arm, wide)
    )
    of = f"The best rate of width {narrow} at width {wide}"
    if row.kept_failures:
        return f"{of}: {row.kept_failures} of {len(row.grid.keys)} runs fail."
    if not row.kept.known:
        return ""
    cost = row.kept.map(_per_cent)
    text = interval_text(cost.mean, cost.low, cost.high, "+.1f")
    return f"{of} costs {text} % of validation loss."


def _per_cent(log_ratio: float) -> float:
    return 100 * math.expm1(log_ratio)


def _name(parametrisation: str) -> str:
    return NAMES.get(parametrisation, parametrisation)


def slope_table(moved: Sequence[Transfer]) -> Table:
    """A row per parametrisation and arm."""
    records = tuple(
        {
            "parametrisation": _name(one.parametrisation),
            "arm": one.arm,
            **interval_ends("slope", one.slope),
            **interval_ends("difference", one.difference),
        }
        for one in moved
    )
    columns = (
        words("parametrisation", "parametrisation"),
        words("arm", "arm"),
        _interval("octaves per doubling", "slope"),
        _interval("arm − reference", "difference"),
    )
    caption = (
        "octaves by which the curve of the validation loss over the learning rate moves where the"
        " width is doubled: least squares over the widths for each seed; 95 % intervals over seeds"
    )
    return Table(SLOPES, "curves over the width", columns, records, caption)


def network_table(rows: Sequence[Network]) -> Table:
    """A row per parametrisation, arm and width."""
    records = tuple(
        {
            "parametrisation": _name(row.parametrisation),
            "arm": row.arm,
            "width": row.width,
            "best_lr": row.grid.best_rate,
            "edge": row.grid.edge,
            **interval_ends("moved", row.moved),
            **interval_ends("lowest", row.lowest),
            **interval_ends("kept", row.kept.map(_per_cent)),
            "failures": row.kept_failures,
            **interval_ends("shift", row.shift),
        }
        for row in rows
    )

    def kept(record: Mapping[str, Any]) -> str:
        if record["failures"]:
            return f"{record['failures']} fail"
        return interval_text(record["kept"], record["kept_low"], record["kept_high"], "+.1f")

    columns = (
        words("parametrisation", "parametrisation"),
        words("arm", "arm"),
        number("width", "width"),
        _interval("curve moved, octaves", "moved"),
        Column("best lr", lambda r: rate_text(r["best_lr"], r["edge"])),
        number("loss there", "lowest", ".3g"),
        Column("rate kept, %", kept),
        _interval("arm’s curve, octaves", "shift"),
    )
    caption = (
        "curve moved: from that of the narrowest network of the same parametrisation and arm to"
        " this one’s, by registration near the best rate; rate kept: by how much the validation"
        " loss is higher at the narrowest network’s best rate than at this one’s; arm’s curve:"
        " by what it lies from the reference’s at this width; *: the first or last rate tried;"
        " 95 % intervals over seeds"
    )
    return Table(NETWORKS, "widths", columns, records, caption)


def _interval(heading: str, key: str) -> Column:
    return Column(
        heading, lambda r: interval_text(r[key], r[f"{key}_low"], r[f"{key}_high"], "+.2f")
    )


def seen_in(rows: Sequence[Network]) -> str:
    """Caption of `transfer_figure`: what lines are, and where the widest network's lies."""
    texts = [
        f"{signed_text(row.moved.mean, '+.2f')} octaves in {_name(row.parametrisation)}, {row.arm}"
        for row in rows
        if row.width == max(row.width for row in rows) and row.moved.known
    ]
    placed = f" The widest network’s lies from the narrowest’s by {'; '.join(texts)}."
    return (
        "Median validation loss over seeds. Where lines lie on each other, one learning rate serves"
        f" all widths.{placed if texts else ''}"
    )


@paper_style
def transfer_figure(rows: Sequence[Network]) -> Panels:
    """A panel per parametrisation and arm: median validation loss over the learning rate, a line
    per width; in a band above, rates at which half of the runs fail."""
    cells = list(dict.fromkeys((row.parametrisation, row.arm) for row in rows))
    arms = list(dict.fromkeys(row.arm for row in rows))
    kinds = list(dict.fromkeys(row.parametrisation for row in rows))
    widths = sorted({row.width for row in rows})
    figure = Panels(len(arms), len(kinds))
    for parametrisation, arm in cells:
        axes = figure.grid[arms.index(arm), kinds.index(parametrisation)]
        for row in rows:
            if (row.parametrisation, row.arm) != (parametrisation, arm):
                continue
            index, losses = widths.index(row.width), row.grid.median_loss
            shown = np.where(np.isinf(losses), np.nan, losses)
            axes.plot(row.grid.rates, shown, label=f"{row.width} wide", **style_of(index))
            figure.mark_failed(axes, row.grid.rates[np.isinf(losses)], index)
        axes.set_title(f"{_name(parametrisation)}: {arm}")
        axes.set_ylabel("validation loss")
        octave_axis(axes, "learning rate")
        logarithmic(axes)
    common_limits(figure.grid.ravel(), "y")
    return figure.finish("in the band: half of a width’s runs or more failed at this rate")


EXPERIMENT = Experiment(
    report_transfer,
    variants,
    quick=(
        variants_override(variants()[:2]),
        *("seed=0,1", "lr_octave=-1,0", "max_steps=20", "signals.validation_every=10"),
    ),
    claims=(
        Claim(
            "In the standard parametrisation twice the width needs a smaller rate.",
            row_estimate(SLOPES, {"parametrisation": "standard", "arm": REFERENCE}, "slope"),
            *(-math.inf, -0.3, "octaves"),
        ),
        Claim(
            "Under maximal update twice the width moves the curve by less than 0.3 octave.",
            row_estimate(SLOPES, {"parametrisation": "maximal update", "arm": REFERENCE}, "slope"),
            *(-0.3, 0.3, "octaves"),
        ),
    ),
)
