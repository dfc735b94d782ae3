"""Claims of an experiment, judged by its report.

A claim names a number of the report and the range in which it is expected. It holds if the whole
95 % interval is in the range, does not hold if all of it is outside, and is inconclusive otherwise.
A claim on an exact property (pairs that are equal bit for bit) is decided by counting.
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
    """The number of cases that are as claimed.

    Attributes:
        held: number of cases that are.
        total: number of all cases.
    """

    held: int
    total: int


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; NaN if it was not measured."""

    value: float
    low: float
    high: float


Measure: TypeAlias = Callable[[Document], Count | Estimate | None]


@dataclass(frozen=True)
class Claim:
    """A statement that the report of an experiment can confirm or refute.

    Attributes:
        text: the statement, one short sentence.
        measure: function that reads the number from the report: a `Count` for an exact property,
            otherwise an `Estimate`; None or NaN if the report does not have it.
        above, below: range in which an `Estimate` is expected; infinite: no bound.
        unit: unit of the number in text.
        scale: factor of the number in text, such as 100 for points.
        form: format of the number in text.
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
        experiment: name of the experiment.
        claim: the claim.
        status: the result.
        measured: the number, or None.
        why: reason if the result is inconclusive, otherwise empty.
    """

    experiment: str
    claim: Claim
    status: Status
    measured: Count | Estimate | None
    why: str = ""

    @property
    def record(self) -> Record:
        """One row for a table and for JSON; unknown numbers and infinite bounds are None."""
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
        experiment: name of the experiment.
        claim: the claim.
        document: the report; None: the experiment was not trained to its end.
        quick: whether the quick form was trained, which decides only exact properties.
    """
    if document is None:
        return Judgement(
            experiment, claim, "inconclusive", None, "the experiment was not completed"
        )
    measured = claim.measure(document)
    status, why = _status(measured, claim)
    if quick and not isinstance(measured, Count):
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
    """The table with one row per claim."""
    return Table(
        "claims",
        "Claim by claim",
        tuple(words(heading, heading) for heading in HEADINGS),
        tuple(one.record for one in judgements),
        "holds: the whole 95 % interval is in the claimed range; does not hold: all of it is"
        " outside; exact properties, such as pairs that are equal bit for bit, are counted",
        numbered=True,
    )


def records(document: Document, table: str) -> Sequence[Record]:
    """The rows of a table of a report; empty if the report has no such table."""
    return next((one.records for one in document.tables if one.name == table), ())


def row_estimate(table: str, wanted: Mapping[str, Any], key: str = "difference") -> Measure:
    """Measure: the number `key` of the only row with the wanted values, with the interval in
    ``KEY_low`` and ``KEY_high``, or in ``low`` and ``high``."""

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
    """Measure: the two facts of the report with these names."""
    return lambda document: (
        Count(document.facts[held], document.facts[total]) if total in document.facts else None
    )


def equal_pairs(optimizer: str, arm: str) -> Measure:
    """Measure of a sweep: how many pairs of runs of an arm are equal as a law says."""

    def measure(document: Document) -> Count | None:
        law = (_arm(document, optimizer, arm) or {}).get("law")
        return None if law is None else Count(law["equal"], law["pairs"])

    return measure


def pairs_of_laws(document: Document) -> Count:
    """Measure of a sweep: how many of all pairs of runs that laws make equal are equal."""
    laws = [
        one["law"]
        for group in document.facts.get("verdict", ())
        for one in group["arms"]
        if one["law"] is not None
    ]
    return Count(sum(law["equal"] for law in laws), sum(law["pairs"] for law in laws))


def curve_estimate(optimizer: str, arm: str, number: Literal["shift", "rest"]) -> Measure:
    """Measure of a sweep: the ``shift`` from the reference's curve to an arm's, in octaves, or the
    ``rest``, the log ratio of test losses that remains after the shift."""

    def measure(document: Document) -> Estimate | None:
        laid = (_arm(document, optimizer, arm) or {}).get("registration")
        return None if laid is None else _of_interval(laid[number])

    return measure


def best_rate_estimate(optimizer: str, arm: str) -> Measure:
    """Measure of a sweep: the arm's test metric minus the reference's, each at its best rate."""

    def measure(document: Document) -> Estimate | None:
        optimum = (_arm(document, optimizer, arm) or {}).get("optimum")
        return None if optimum is None else _of_interval(optimum["difference"])

    return measure


def theory_claims(name: str, differ: bool) -> Iterator[Claim]:
    """The claim on arms of an interaction that are equal in theory and, with `differ`, the claim on
    arms that differ in theory."""

    def pairs(word: str, document: Document) -> Count:
        rows = [row for row in records(document, name) if row["theory"] == word]
        same, total = (sum(int(row[key]) for row in rows) for key in ("equal_pairs", "pairs"))
        return Count(same if word == "equal" else total - same, total)

    yield Claim("With rescaled hyperparameters training is the same.", partial(pairs, "equal"))
    if differ:
        yield Claim("Training differs wherever theory says that it does.", partial(pairs, "differ"))


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
        text: the statement.
        name: name of the interaction.
        compared: names of the setting and the arm.
        above, below: claimed range of the change, as a share of the test samples.
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
