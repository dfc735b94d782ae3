"""What an experiment claims, and whether its report bears that out.

A claim names a number of the report and the range in which it is expected. It holds where the whole
95 % interval is inside of the range, does not hold where all of it is outside, and is inconclusive
between. A claim on what is exact (pairs that are equal bit for bit) is decided by counting.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

from cvtrain.report.cells import Record, interval_text, words
from cvtrain.report.document import Document, Table

Status: TypeAlias = Literal["holds", "does not hold", "inconclusive"]
TOO_SMALL = "quick form: too small to decide"
HEADINGS = ("experiment", "claim", "status", "measured", "why")


@dataclass(frozen=True)
class Count:
    """So many of so many are as claimed.

    Attributes:
        held: how many are.
        total: of how many.
    """

    held: int
    total: int


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; NaN where it was not measured."""

    value: float
    low: float
    high: float


Measure: TypeAlias = Callable[[Document], Count | Estimate | None]


@dataclass(frozen=True)
class Claim:
    """A statement that the report of an experiment can bear out or refute.

    Attributes:
        text: the statement, one short sentence.
        measure: reads the number from the report; None or NaN where it is not there. A `Count` is
            of what is exact.
        above, below: the range that an `Estimate` is expected in; infinite: no bound.
        unit: of the number, for its text.
        scale: by which the number is multiplied for its text, such as 100 for points.
        form: format of the number, for its text.
    """

    text: str
    measure: Measure
    above: float = -math.inf
    below: float = math.inf
    unit: str = ""
    scale: float = 1.0
    form: str = "+.2f"


@dataclass(frozen=True)
class Judgement:
    """The result of one claim of one experiment.

    Attributes:
        experiment: its name.
        claim: what was claimed.
        status: the result.
        measured: the number, or None.
        why: why it is inconclusive; else empty.
    """

    experiment: str
    claim: Claim
    status: Status
    measured: Count | Estimate | None
    why: str = ""

    @property
    def record(self) -> Record:
        """Everything in one row, for a table and for JSON; infinite bounds are None."""
        measured, claim = self.measured, self.claim
        numbers: dict[str, Any] = dict.fromkeys(
            ("held", "total", "value", "low", "high", "above", "below")
        )
        if measured is not None:
            numbers |= vars(measured)
        if not isinstance(measured, Count):
            bounds = {"above": claim.above, "below": claim.below}
            numbers |= {key: value for key, value in bounds.items() if math.isfinite(value)}
        return {
            "experiment": self.experiment,
            "claim": claim.text,
            "status": self.status,
            "measured": self._text(),
            "why": self.why,
            **{name: None if _unknown(number) else number for name, number in numbers.items()},
        }

    def _text(self) -> str:
        measured, claim = self.measured, self.claim
        if measured is None or (isinstance(measured, Estimate) and math.isnan(measured.value)):
            return ""
        if isinstance(measured, Count):
            return f"{measured.held} of {measured.total}"
        mean, low, high = (
            claim.scale * end for end in (measured.value, measured.low, measured.high)
        )
        return f"{interval_text(mean, low, high, claim.form)} {claim.unit}".strip()


def judge(experiment: str, claim: Claim, document: Document | None, quick: bool) -> Judgement:
    """Judge a claim by the report of its experiment.

    Args:
        experiment: its name.
        claim: what was claimed.
        document: the report; None: the experiment was not trained to its end.
        quick: whether that was the quick form, in which only what is exact is decided.
    """
    if document is None:
        return Judgement(
            experiment, claim, "inconclusive", None, "the experiment was not completed"
        )
    measured = claim.measure(document)
    status, why = _status(measured, claim)
    if quick and isinstance(measured, Estimate):
        status, why = "inconclusive", TOO_SMALL
    return Judgement(experiment, claim, status, measured, why)


def _status(measured: Count | Estimate | None, claim: Claim) -> tuple[Status, str]:
    if isinstance(measured, Count):
        if not measured.total:
            return "inconclusive", "nothing was trained to its end"
        return ("holds", "") if measured.held == measured.total else ("does not hold", "")
    if measured is None or math.isnan(measured.value):
        return "inconclusive", "not measured"
    if math.isnan(measured.low) or math.isnan(measured.high):
        return "inconclusive", "no interval: too few seeds"
    if claim.above < measured.low and measured.high < claim.below:
        return "holds", ""
    if measured.high <= claim.above or claim.below <= measured.low:
        return "does not hold", ""
    return "inconclusive", f"the interval reaches beyond {_range(claim)}"


def _range(claim: Claim) -> str:
    ends = [
        f"{word} {claim.scale * end:g}"
        for word, end in (("above", claim.above), ("below", claim.below))
        if math.isfinite(end)
    ]
    return f"{' and '.join(ends)} {claim.unit}".strip()


def claims_table(judgements: Sequence[Judgement]) -> Table:
    """One row for each claim."""
    return Table(
        "claims",
        "Claim by claim",
        tuple(words(heading, heading) for heading in HEADINGS),
        tuple(one.record for one in judgements),
        "holds: the 95 % interval is inside of the range that is claimed; does not hold: all of it"
        " is outside; pairs that are equal bit for bit are counted",
        numbered=True,
    )


def records(document: Document, table: str) -> Sequence[Record]:
    """The rows of a table of a report; none where it has no such table."""
    return next((one.records for one in document.tables if one.name == table), ())


def row_estimate(table: str, wanted: Mapping[str, Any], key: str = "difference") -> Measure:
    """Measure: the number `key` of the one row that has the wanted values, with its ``low`` and
    ``high``, or ``KEY_low`` and ``KEY_high``."""

    def measure(document: Document) -> Estimate | None:
        rows = [row for row in records(document, table) if wanted.items() <= row.items()]
        if len(rows) != 1 or rows[0].get(key) is None:
            return None
        (row,) = rows
        own = f"{key}_low" in row
        low, high = (row[f"{key}_{end}" if own else end] for end in ("low", "high"))
        return Estimate(float(row[key]), float(low), float(high))

    return measure


def counted_facts(held: str, total: str) -> Measure:
    """Measure: two numbers that the report states for programs."""
    return lambda document: (
        Count(document.facts[held], document.facts[total]) if total in document.facts else None
    )


def equal_pairs(optimizer: str, arm: str) -> Measure:
    """Measure, of a sweep: pairs of runs of an arm that a law makes equal, and are."""

    def measure(document: Document) -> Count | None:
        law = (_arm(document, optimizer, arm) or {}).get("law")
        return None if law is None else Count(law["equal"], law["pairs"])

    return measure


def curve_estimate(optimizer: str, arm: str, number: Literal["shift", "rest"]) -> Measure:
    """Measure, of a sweep: octaves by which an arm's curve lies from the reference's, or the
    logarithm of the ratio of test losses that is left after the move."""

    def measure(document: Document) -> Estimate | None:
        laid = (_arm(document, optimizer, arm) or {}).get("registration")
        return None if laid is None else _of_interval(laid[number])

    return measure


def best_rate_estimate(optimizer: str, arm: str) -> Measure:
    """Measure, of a sweep: difference of the test metric at each arm's best learning rate."""

    def measure(document: Document) -> Estimate | None:
        optimum = (_arm(document, optimizer, arm) or {}).get("optimum")
        return None if optimum is None else _of_interval(optimum["difference"])

    return measure


def theory_claims(name: str, differ: bool) -> Iterator[Claim]:
    """The claims on the arms of an interaction of which theory says that they are equal, and, with
    `differ`, on those of which it says that they are not."""

    def pairs(word: str, document: Document) -> Count:
        rows = [row for row in records(document, name) if row["theory"] == word]
        same, total = (sum(int(row[key]) for row in rows) for key in ("equal_pairs", "pairs"))
        return Count(same if word == "equal" else total - same, total)

    yield Claim("With hyperparameters rescaled training is the same.", partial(pairs, "equal"))
    if differ:
        yield Claim("Where theory says so it is not the same.", partial(pairs, "differ"))


def outcome_claim(
    text: str,
    name: str,
    compared: tuple[str, str],
    *,
    above: float = -math.inf,
    below: float = math.inf,
) -> Claim:
    """A claim on the change of test accuracy of one arm from its setting's reference.

    Args:
        text: what is claimed.
        name: of the interaction.
        compared: names of the setting and the arm.
        above, below: the range that is claimed, as a share of the test samples.
    """
    wanted = dict(zip(("setting", "arm"), compared, strict=True))
    return Claim(text, row_estimate(name, wanted, "accuracy"), above, below, "points", 100)


def _of_interval(ends: Mapping[str, float]) -> Estimate:
    return Estimate(ends["mean"], ends["low"], ends["high"])


def _arm(document: Document, optimizer: str, arm: str) -> Mapping[str, Any] | None:
    for group in document.facts.get("verdict", ()):
        for one in group["arms"]:
            if group["group"] == optimizer and one["arm"] == arm:
                return dict(one)
    return None


def _unknown(number: Any) -> bool:
    return number is None or (isinstance(number, float) and not math.isfinite(number))
