"""Columns of tables, and how numbers are written in a cell or in a sentence."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cvtrain.analysis.answer import signed_text
from cvtrain.analysis.difference import Difference
from cvtrain.analysis.statistics import Interval

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of a table as it is shown.

    Attributes:
        heading: text of its heading.
        show: function that makes the text of a cell from the record of its row.
        left: whether to align to the left, as for words; numbers are aligned to the right.
        status: whether each cell begins with a sign of `STATUS`, which colours it.
        note: function that makes a small text below a cell, shown on the HTML page only.
    """

    heading: str
    show: Callable[[Record], str]
    left: bool = False
    status: bool = False
    note: Callable[[Record], str] | None = None


STATUS = {"✓": "good", "✗": "bad", "?": "open"}
"""Signs of an outcome and their classes. The sign is always shown with its colour."""


def words(heading: str, key: str) -> Column:
    """A column of text: `record[key]`, aligned to the left."""
    return Column(heading, lambda record: str(record[key]), left=True)


def number(heading: str, key: str, form: str = ".4g") -> Column:
    """A column of numbers `record[key]` in the format `form`; empty for NaN."""
    return Column(heading, lambda record: number_text(record[key], form))


def mean_and_spread(heading: str, mean: str, spread: str, edge: str | None = None) -> Column:
    """A column of means ± standard deviations with two decimals, from the records' keys `mean` and
    `spread`. A star marks rows whose key `edge` is true; a NaN mean is shown as "none"."""

    def show(record: Record) -> str:
        if math.isnan(record[mean]):
            return "none"
        text = spread_text(record[mean], record[spread])
        return f"{text}*" if edge is not None and record[edge] else text

    return Column(heading, show)


def interval(heading: str, key: str = "difference") -> Column:
    """A column of signed numbers with their intervals, from the records' keys `key`, `low` and
    `high`."""
    return Column(heading, lambda r: interval_text(r[key], r["low"], r["high"]))


def difference_fields(difference: Difference) -> dict[str, Any]:
    """The keys of a record that hold a paired difference, as the column `interval` reads them."""
    return {
        "difference": difference.mean,
        "low": difference.low,
        "high": difference.high,
        "pairs": difference.pairs,
    }


def interval_ends(name: str, interval: Interval | None) -> dict[str, float]:
    """The keys of a record that hold an interval: `name`, `name_low` and `name_high`; NaN without
    an interval."""
    if interval is None:
        return {name: math.nan, f"{name}_low": math.nan, f"{name}_high": math.nan}
    return {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}


def learning_rate(heading: str, key: str, edge: str | None = None) -> Column:
    """A column of learning rates; a star marks rows whose key `edge` is true."""
    return Column(heading, lambda r: rate_text(r[key], edge is not None and bool(r[edge])))


def p_value(heading: str, key: str) -> Column:
    """A column of p-values with two digits; empty for NaN."""
    return number(heading, key, ".2g")


def number_text(value: float, form: str = ".4g") -> str:
    """A number with a true minus sign (U+2212); empty for NaN."""
    return "" if math.isnan(value) else f"{value:{form}}".replace("-", "−")


def interval_text(mean: float, low: float, high: float, form: str = "+.2f") -> str:
    """Format a mean and its interval: ``−0.44 [−0.80, −0.09]``; the mean alone if the ends are NaN;
    empty if the mean is NaN."""
    if math.isnan(mean):
        return ""
    if math.isnan(low):
        return signed_text(mean, form)
    return f"{signed_text(mean, form)} [{signed_text(low, form)}, {signed_text(high, form)}]"


def spread_text(mean: float, spread: float, form: str = ".2f") -> str:
    """Format a mean ± standard deviation: ``97.74 ± 0.52``; the mean alone if the deviation is
    NaN."""
    text = number_text(mean, form)
    return text if math.isnan(spread) else f"{text} ± {number_text(spread, form)}"


RAISED, LEVEL = "⁻·⁰¹²³⁴⁵⁶⁷⁸⁹", "-.0123456789"
SUPERSCRIPTS, DIGITS = str.maketrans(LEVEL, RAISED), str.maketrans(RAISED, LEVEL)
EXPONENT = re.compile("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹][⁻·⁰¹²³⁴⁵⁶⁷⁸⁹]*")


def superscript(exponent: float) -> str:
    """An exponent in raised characters, e.g. ``⁻³`` or ``⁻³·⁵``."""
    return f"{exponent:g}".translate(SUPERSCRIPTS)


def replace_exponents(text: str, form: str) -> str:
    """Replace raised exponents in a text by `form`, e.g. ``^{}`` gives ``2^-3``."""
    return EXPONENT.sub(lambda match: form.format(match[0].translate(DIGITS)), text)


def rate_text(lr: float | None, edge: bool = False) -> str:
    """Format a learning rate: ``2⁻³`` for powers of two and half octaves, else decimal digits;
    "none" for None. With `edge` a star follows: the rate is the smallest or largest tried."""
    if lr is None or math.isnan(lr):
        return "none"
    octave = math.log2(lr)
    half = round(2 * octave) / 2
    text = f"2{superscript(half)}" if abs(octave - half) < 1e-6 else f"{lr:g}"
    return f"{text}*" if edge else text


def steps_text(steps: float) -> str:
    """A number of steps; "never" for infinity, empty for NaN."""
    return "never" if math.isinf(steps) else number_text(steps, "g")
