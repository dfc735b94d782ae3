"""The report on arms whose learning rate alone is retuned: sentences, table and figure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cvtrain.analysis.answer import Answer, arm_words, signed_text
from cvtrain.analysis.statistics import Interval
from cvtrain.report.answers import SIGNS, outcome
from cvtrain.report.cells import Column, interval_ends, interval_text, words
from cvtrain.report.document import Sentence, Table
from cvtrain.report.figures.panels import Panels, name_ticks
from cvtrain.report.figures.style import paper_style, style_of
from cvtrain.report.figures.ticks import common_limits

HALF_LOSS, HALF_GRADIENT = "scale ½, pytorch", "scale 1, wirtinger"
WORDS = {HALF_LOSS: "half of the loss", HALF_GRADIENT: "half of the complex gradients"}
"""The arms in words."""
_UNKNOWN = Interval(math.nan, math.nan, math.nan, 0)


@dataclass(frozen=True)
class Retuned:
    """One arm of one setting, whose learning rate alone is retuned.

    Attributes:
        setting, arm: names.
        twin: hyperparameters with which the reference trains like the arm, in words; empty if there
            are none.
        answer: the comparison with the reference of the same setting.
    """

    setting: str
    arm: str
    twin: str
    answer: Answer

    @property
    def _relabelled(self) -> bool:
        """Whether its runs are those of the reference, at other learning rates."""
        return self.answer.kind == "relabelling"

    @property
    def octaves(self) -> Interval:
        """Octaves by which the learning rate moves; that of a law exactly."""
        law, registration = self.answer.law, self.answer.registration
        if self._relabelled and law is not None:
            return Interval(law.octaves, law.octaves, law.octaves, law.pairs)
        return _UNKNOWN if registration is None else registration.shift

    @property
    def rest(self) -> Interval:
        """Relative change of the test loss that remains at the moved learning rate; unknown for the
        reference's own runs."""
        registration = None if self._relabelled else self.answer.registration
        return _UNKNOWN if registration is None else registration.ratio

    @property
    def points(self) -> Interval:
        """Change of the test accuracy in points, each side at its own best learning rate; unknown
        for the reference's own runs."""
        optimum = None if self._relabelled else self.answer.optimum
        return _UNKNOWN if optimum is None else optimum.difference.map(lambda part: 100 * part)


TABLES = {HALF_LOSS: "half_loss", HALF_GRADIENT: "half_gradient"}
OUTCOMES = {"✓": "the same result as the reference", "✗": "another result", "?": "undecided"}


def describe(rows: Sequence[Retuned]) -> Iterator[Sentence]:
    """A sentence on each arm, in which settings the result is the same, and one on how far the
    learning rate moves."""
    if not rows:
        yield Sentence("Nothing to compare yet.")
    for arm in dict.fromkeys(row.arm for row in rows):
        own = [row for row in rows if row.arm == arm]
        parts = []
        for sign, text in OUTCOMES.items():
            names = [row.setting for row in own if SIGNS.get(row.answer.kind, "✗") == sign]
            if names:
                listed = "" if sign == "?" else f" ({'; '.join(names)})"
                parts.append(f"{text} in {len(names)} of {len(own)} settings{listed}")
        named = arm_in_words(arm).capitalize()
        yield Sentence(
            f"{named}, the learning rate alone retuned: {', '.join(parts)}.",
            (table_name(arm),),
        )
    if moves := _moves(rows):
        yield Sentence(moves, tuple(dict.fromkeys(table_name(row.arm) for row in rows)))


def _moves(rows: Sequence[Retuned]) -> str:
    """The smallest and the largest move of each arm."""
    texts = []
    for arm in dict.fromkeys(row.arm for row in rows):
        known = [row for row in rows if row.arm == arm and not math.isnan(row.octaves.mean)]
        if known:
            ends = (pick(known, key=lambda row: row.octaves.mean) for pick in (min, max))
            shown = (f"{signed_text(row.octaves.mean)} ({row.setting})" for row in ends)
            texts.append(f"with {arm_in_words(arm)} by {' to '.join(shown)} octaves")
    return f"The learning rate moves {'; '.join(texts)}." if texts else ""


def arm_in_words(arm: str) -> str:
    """An arm in words, e.g. ``half of the loss``."""
    return WORDS.get(arm, arm_words(arm))


def table_name(arm: str) -> str:
    """The name of the table of an arm."""
    return TABLES.get(arm, "other_arms")


def retuned_table(arm: str, rows: Sequence[Retuned]) -> Table:
    """A row per setting of one arm."""
    by_setting = {row.setting: row.answer for row in rows}
    table_rows = tuple(
        {
            "setting": row.setting,
            "arm": row.arm,
            "twin": row.twin,
            "kind": row.answer.kind,
            **interval_ends("octaves", row.octaves),
            **interval_ends("rest", row.rest),
            **interval_ends("points", row.points),
        }
        for row in rows
    )
    columns = (
        words("setting", "setting"),
        *([words("trains like", "twin")] if any(row.twin for row in rows) else []),
        Column(
            "octaves",
            lambda r: interval_text(r["octaves"], r["octaves_low"], r["octaves_high"]),
        ),
        Column("then the same?", lambda r: outcome(by_setting[r["setting"]]), True, True),
        Column(
            "at the best rates, points",
            lambda r: interval_text(r["points"], r["points_low"], r["points_high"]),
        ),
    )
    like = (
        "trains like: the hyperparameters, as multiples of those that were kept, with which the"
        " reference has the same weights, bit for bit; "
    )
    text = (
        f"{like if any(row.twin for row in rows) else ''}octaves: by which the learning rate moves"
        " while all else is kept, by registration of the curves, or of a law (exactly); then the"
        " same?: change of the test loss that remains, and whether it is within the margin; at the"
        " best rates: change of test accuracy, each side at its own best learning rate; 95 %"
        " intervals over seeds"
    )
    return Table(
        table_name(arm), f"{arm_in_words(arm)}, all but the rate kept", columns, table_rows, text
    )


def caption(rows: Sequence[Retuned]) -> str:
    """Caption of `retuned_figure`: how to read it, and how far the rate moves."""
    return (
        "Points are measured, with 95 % intervals over seeds. At 0 the learning rate may stay, at"
        f" 1 it is doubled. {_moves(rows)}"
    )


@paper_style
def retuned_figure(rows: Sequence[Retuned]) -> Panels:
    """A panel for SGD and one for Adam: octaves of each arm, a row per setting."""
    kinds = {name: [r for r in rows if r.setting.startswith(name)] for name in ("SGD", "Adam")}
    shown = {name: own for name, own in kinds.items() if own}
    arms = list(dict.fromkeys(row.arm for row in rows))
    figure = Panels(1, max(1, len(shown)), names=True)
    for axes, (name, own) in zip(figure.grid.ravel(), shown.items(), strict=False):
        settings = list(dict.fromkeys(row.setting for row in own))
        for row in own:
            index, ends = arms.index(row.arm), row.octaves
            if math.isnan(ends.mean):
                continue
            below, above = (
                0.0 if math.isnan(e) else abs(e - ends.mean) for e in (ends.low, ends.high)
            )
            axes.errorbar(
                ends.mean,
                settings.index(row.setting) + 0.3 * (index - (len(arms) - 1) / 2),
                xerr=[[below], [above]],
                label=arm_in_words(row.arm),
                **style_of(index) | {"linestyle": "none"},
            )
        name_ticks(axes, [_short(setting, name) for setting in settings])
        axes.set_title(name)
        axes.set_xlabel("octaves")
    common_limits(figure.grid.ravel(), "x")
    return figure.finish()


def _short(setting: str, optimizer: str) -> str:
    """The name of a setting below the name of its optimizer."""
    rest = setting.removeprefix(optimizer).removeprefix(", ")
    if rest.startswith("W"):
        return setting
    return "all three" if rest.count(",") == 2 else rest or "plain"
