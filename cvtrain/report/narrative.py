"""Sentences on what the arms of a sweep changed, each computed from the numbers of `compare`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from cvtrain.analysis.arms import NULL, REFERENCE
from cvtrain.analysis.difference import Difference
from cvtrain.analysis.equivalence import Interval
from cvtrain.analysis.scores import ACCURACY, Arm, Group
from cvtrain.analysis.verdict import Answer, Kind
from cvtrain.report.cells import interval_text, rate_text, signed_text, spread_text
from cvtrain.report.document import Sentence

Answers = Mapping[tuple[str, str], Answer]

CLAUSES: dict[Kind, tuple[str, str]] = {
    "relabelling": ("is a relabelling of the learning rate, bit for bit", "are relabellings"),
    "absorbed": ("is absorbed by retuning the learning rate", "are absorbed by retuning"),
    "different": ("makes a real difference, retuned or not", "make real differences"),
    "never learns": ("learns at no learning rate", "learn at no learning rate"),
    "inconclusive": ("is inconclusive", "are inconclusive"),
}
"""Clauses for an answer, on one arm and on several."""


def headline(group: Group, answers: Answers) -> Sentence:
    """The answers for one optimizer in a sentence, without numbers."""
    alone = without_comparison(group)
    if alone is not None:
        return Sentence(f"{group.name}: {alone}.")
    clauses = []
    for kind, (singular, plural) in CLAUSES.items():
        names = [arm for (name, arm), a in answers.items() if name == group.name and a.kind == kind]
        if names:
            clauses.append(f"{_join(names)} {singular if len(names) == 1 else plural}")
    return Sentence(f"{group.name}: {'; '.join(clauses)}.")


def without_comparison(group: Group) -> str | None:
    """Why a group has nothing to compare, or None."""
    reference = group.arm(REFERENCE)
    if reference is None:
        return f"nothing to compare with: no run of {REFERENCE}"
    if all(arm.name in (REFERENCE, NULL) for arm in group.arms):
        return f"nothing to compare: only {REFERENCE} was run"
    if reference.best_lr is None:
        return f"nothing to compare: {REFERENCE} has no usable learning rate"
    return None


def describe_group(
    group: Group, answers: Answers, rows: Mapping[str, tuple[str, ...]]
) -> list[Sentence]:
    """One sentence per arm, and one on the jitter control.

    Args:
        group: the arms of an optimizer.
        answers: from `verdict.decide`.
        rows: by arm, the names of the table rows that hold its numbers.
    """
    reference = group.arm(REFERENCE)
    if reference is None or without_comparison(group) is not None:
        return []
    sentences = []
    for arm in group.arms:
        if (group.name, arm.name) in answers:
            answer = answers[group.name, arm.name]
            parts = _octaves(arm) + _unretuned(group, arm, reference)
            text = "; ".join([_answer(group, arm, answer), *parts])
            sentences.append(Sentence(f"{arm.name}: {text}.", rows[arm.name]))
    control = group.arm(NULL)
    if control is not None and control.retuned is not None:
        text = interval(control.retuned, group.metric)
        sentences.append(Sentence(f"{NULL}, retuned too: {text}.", rows[NULL][:1]))
    return sentences


def interval(difference: Difference, metric: str) -> str:
    """A paired difference: ``−0.44 [−0.80, −0.09] points of test accuracy (5 pairs)``."""
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
    """A paired difference without its unit: ``−0.44 [−0.80, −0.09]``."""
    factor, form = (100, "+.2f") if metric == ACCURACY else (1, "+.2g")
    mean, low, high = (factor * x for x in (difference.mean, difference.low, difference.high))
    return interval_text(mean, low, high, form)


def difference_text(difference: Difference | None, metric: str) -> str:
    """A paired difference in a cell: "identical" where all bits are equal, empty without pairs."""
    if difference is None or not difference.pairs:
        return ""
    return "identical" if difference.identical else bare_interval(difference, metric)


def metric_text(value: float, metric: str, spread: float = math.nan) -> str:
    """A mean of a test metric with its standard deviation: ``91.00 ± 1.00 %``; empty for NaN."""
    if math.isnan(value):
        return ""
    if metric == ACCURACY:
        return f"{spread_text(100 * value, 100 * spread)} %"
    return spread_text(value, spread, ".4g")


def octaves_text(shift: Interval) -> str:
    """A shift in octaves: ``+1`` where all seeds agree, else ``+0.8 [+0.6, +1.1]``; empty without
    seeds."""
    if shift.seeds == 0:
        return ""
    mean, low, high = (_rounded(value) for value in (shift.mean, shift.low, shift.high))
    if math.isnan(shift.low) or shift.low == shift.high:
        return mean
    return f"{mean} [{low}, {high}]"


def _answer(group: Group, arm: Arm, answer: Answer) -> str:
    if answer.kind == "relabelling":
        return _pairs(arm)
    if answer.kind == "never learns":
        return (
            f"none of its {arm.runs} runs learned ({arm.diverged} diverged, {arm.not_learned}"
            " stayed where they began)"
        )
    assert arm.retuned is not None or answer.reason is not None
    difference = interval(arm.retuned, group.metric) if arm.retuned is not None else ""
    margin = _unsigned(group.margin, group.metric)
    if answer.kind == "absorbed":
        text = f"retuned: {difference}, within ±{margin} ({_p(answer.equivalence_p)})"
        if answer.difference_p < 0.05:
            text += f", though a difference is significant ({_p(answer.difference_p)})"
        return text
    if answer.kind == "different":
        why = f" Its cause: {', '.join(arm.obstacles)}" if arm.obstacles else ""
        return (
            f"retuned: {difference}, more than the jitter control ({_p(answer.difference_p)}).{why}"
        )
    return f"inconclusive: {answer.reason}" + (f"; retuned: {difference}" if difference else "")


def _pairs(arm: Arm) -> str:
    exact = [pair for pair in arm.pairs if pair.exact]
    octaves = {pair.octaves for pair in exact}
    place = "at the same learning rate"
    if octaves != {0.0}:
        place = f"at learning rates {_moved(max(octaves))}"
    return (
        f"{place}, {sum(pair.equal for pair in exact)} of {len(exact)} pairs of runs that the law"
        f" makes equal end with equal bits ({sum(pair.numbers for pair in exact):,} numbers)"
    )


def _octaves(arm: Arm) -> list[str]:
    if arm.octaves is None or arm.octaves.best.seeds == 0:
        return []
    shifts = [f"best lr {octaves_text(arm.octaves.best)} octaves"]
    if arm.octaves.cliff.seeds:
        shifts.append(f"cliff {octaves_text(arm.octaves.cliff)}")
    return [", ".join(shifts)]


def _unretuned(group: Group, arm: Arm, reference: Arm) -> list[str]:
    """The cost of leaving the learning rate as it was."""
    if arm.unretuned is None or not arm.unretuned.pairs or reference.best_lr is None:
        return []
    if arm.shift == 0:
        return []  # the same runs
    text = f"left at lr {rate_text(reference.best_lr)}: {interval(arm.unretuned, group.metric)}"
    price = next((p for p in arm.prices if p.lr == reference.best_lr), None)
    if price is not None and price.steps != price.reference_steps:
        now, before = (_steps(steps) for steps in (price.steps, price.reference_steps))
        text += f", {group.goal} {now} instead of {before}"
    return [text]


def _steps(steps: float) -> str:
    return "never" if math.isinf(steps) else f"after {steps:g} steps"


def _moved(octaves: float) -> str:
    plural = "" if abs(octaves) == 1 else "s"
    return f"{abs(octaves):.3g} octave{plural} {'higher' if octaves > 0 else 'lower'}"


def _unit(metric: str) -> str:
    return f"{'points of ' if metric == ACCURACY else ''}{metric.replace('/', ' ')}"


def signed(value: float, metric: str) -> str:
    """A difference of a metric, in percentage points where it is accuracy."""
    return signed_text(100 * value) if metric == ACCURACY else signed_text(value, "+.2g")


def _unsigned(value: float, metric: str) -> str:
    return f"{100 * value:g}" if metric == ACCURACY else f"{value:.2g}"


def _rounded(octaves: float) -> str:
    text = signed_text(octaves)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _p(value: float) -> str:
    return f"p = {value:.2g}" if value >= 1e-4 else "p < 0.0001"


def _join(names: Sequence[str]) -> str:
    quoted = [f"“{name}”" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
