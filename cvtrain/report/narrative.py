"""Sentences on the effect of the arms of a sweep, computed from the numbers of `compare`."""

from __future__ import annotations

import math
from collections.abc import Mapping

from cvtrain.analysis.answer import Answers, signed_text
from cvtrain.analysis.arms import CONTROL
from cvtrain.analysis.comparison import Group
from cvtrain.analysis.difference import Difference
from cvtrain.analysis.metric import ACCURACY
from cvtrain.analysis.statistics import Interval
from cvtrain.report.cells import interval_text, spread_text
from cvtrain.report.document import Sentence


def without_comparison(group: Group) -> str | None:
    """The reason why a group has nothing to compare, or None."""
    reference = group.base
    if reference is None:
        return f"nothing to compare with: no run of {group.reference}"
    if all(arm.name in (group.reference, CONTROL) for arm in group.arms):
        return f"nothing to compare: only {group.reference} was run"
    if reference.best_lr is None:
        return f"nothing to compare: {group.reference} has no usable learning rate"
    return None


FEW_SAMPLES = 5
"""Number of test samples below which the choice of the test split may decide whether a margin is
met."""


def margin_in_samples(group: Group) -> str | None:
    """The margin of an accuracy in test samples, as a sentence; None if it is unknown.

    With a single split the sentence warns if they are few: all seeds share the samples, so no
    number of seeds shows how another test split would decide.
    """
    samples = group.margin * group.test_samples
    if group.metric != ACCURACY or not samples > 0:
        return None
    text = (
        f"the margin of {100 * group.margin:.3g} points is {samples:.2g} of"
        f" {group.test_samples:,} test samples"
    )
    if samples >= FEW_SAMPLES:
        return text
    if len(group.splits) > 1:
        return f"{text}, in each of {len(group.splits)} splits"
    return f"{text}: too few to generalise to other test samples (data.seed=0,1,… draws others)"


def describe_group(
    group: Group, answers: Answers, rows: Mapping[str, tuple[str, ...]]
) -> list[Sentence]:
    """One sentence per arm, one on the jitter control, and one on the test samples.

    Args:
        group: the arms of an optimizer.
        answers: answers from `verdict.decide`.
        rows: names of the table rows that hold an arm's numbers, by arm.
    """
    reference = group.base
    if reference is None or without_comparison(group) is not None:
        return []
    sentences = []
    for arm in group.arms:
        if (group.name, arm.name) in answers:
            answer = answers[group.name, arm.name]
            text = "; ".join(filter(None, [answer.sentence.removesuffix("."), answer.cost]))
            # An arm that has no learning rate in common with the others has no rows.
            sentences.append(Sentence(f"{text}.", rows.get(arm.name, ())))
    control = group.arm(CONTROL)
    if control is not None and control.retuned is not None:
        text = interval(control.retuned, group.metric)
        sentences.append(Sentence(f"{CONTROL}, retuned too: {text}.", rows[CONTROL][:1]))
    samples = margin_in_samples(group)
    if samples is not None:
        sentences.append(Sentence(f"Test samples: {samples}."))
    return sentences


def interval(difference: Difference, metric: str) -> str:
    """Format a paired difference: ``−0.44 [−0.80, −0.09] points of test accuracy (5 pairs)``."""
    pairs = f"{difference.pairs} pair{'s' if difference.pairs != 1 else ''}"
    if difference.unfinished:
        pairs += f", {difference.unfinished} unfinished"
    if difference.pairs == 0:
        return "no pairs of equal seed"
    if difference.identical:
        return f"the same numbers, bit for bit ({pairs})"
    if math.isnan(difference.low):
        return f"{signed(difference.mean, metric)} {_unit(metric)} ({pairs}: no interval)"
    return f"{bare_interval(difference, metric)} {_unit(metric)} ({pairs})"


def bare_interval(difference: Difference, metric: str) -> str:
    """Format a paired difference without its unit: ``−0.44 [−0.80, −0.09]``."""
    factor, form = (100, "+.2f") if metric == ACCURACY else (1, "+.2g")
    mean, low, high = (factor * x for x in (difference.mean, difference.low, difference.high))
    return interval_text(mean, low, high, form)


def difference_text(difference: Difference | None, metric: str) -> str:
    """Format a paired difference for a cell: "identical" if all bits are equal, empty without
    pairs."""
    if difference is None or not difference.pairs:
        return ""
    return "identical" if difference.identical else bare_interval(difference, metric)


def metric_text(value: float, metric: str, spread: float = math.nan) -> str:
    """Format a mean test metric with its standard deviation: ``91.00 ± 1.00 %``; empty for NaN."""
    if math.isnan(value):
        return ""
    if metric == ACCURACY:
        return f"{spread_text(100 * value, 100 * spread)} %"
    return spread_text(value, spread, ".4g")


def octaves_text(shift: Interval) -> str:
    """Format a shift in octaves: ``+1`` if all seeds agree, else ``+0.8 [+0.6, +1.1]``; empty
    without seeds."""
    if shift.seeds == 0:
        return ""
    mean, low, high = (_rounded(value) for value in (shift.mean, shift.low, shift.high))
    if math.isnan(shift.low) or shift.low == shift.high:
        return mean
    return f"{mean} [{low}, {high}]"


def _unit(metric: str) -> str:
    return f"{'points of ' if metric == ACCURACY else ''}{metric.replace('/', ' ')}"


def signed(value: float, metric: str) -> str:
    """Format a difference of a metric with its sign, in percentage points for an accuracy."""
    return signed_text(100 * value) if metric == ACCURACY else signed_text(value, "+.2g")


def _rounded(octaves: float) -> str:
    text = signed_text(octaves)
    return text.rstrip("0").rstrip(".") if "." in text else text
