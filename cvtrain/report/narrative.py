"""Plain sentences about what the readings of a gradient changed, each from numbers of `compare`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from cvtrain.analysis.arms import NULL, REFERENCE
from cvtrain.analysis.difference import Difference
from cvtrain.analysis.equivalence import Interval
from cvtrain.analysis.scores import ACCURACY, Arm, Group
from cvtrain.analysis.verdict import Answer, Kind
from cvtrain.report.document import Sentence

Answers = Mapping[tuple[str, str], Answer]

CLAUSES: dict[Kind, tuple[str, str]] = {
    "relabelling": ("is a relabelling of the learning rate, bit for bit", "are relabellings"),
    "absorbed": ("is absorbed by retuning the learning rate", "are absorbed by retuning"),
    "different": ("makes a real difference, retuned or not", "make real differences"),
    "never learns": ("learns at no learning rate", "learn at no learning rate"),
    "cannot tell": ("cannot be told", "cannot be told"),
}
"""Of an answer, for one arm and for several."""


def headline(group: Group, answers: Answers) -> Sentence:
    """The answer for one optimizer, without numbers."""
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
    """Why there is nothing to say about a group, or None."""
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
    """One sentence per arm, and one for the null arm.

    Args:
        group: the optimizer.
        answers: from `verdict.decide`.
        rows: by arm, the names of the table rows that have its numbers.
    """
    reference = group.arm(REFERENCE)
    if reference is None or without_comparison(group) is not None:
        return []
    told = []
    for arm in group.arms:
        if (group.name, arm.name) in answers:
            answer = answers[group.name, arm.name]
            parts = [_answered(group, arm, answer), *_octaves(arm), *_left(group, arm, reference)]
            text = "; ".join(part for part in parts if part)
            told.append(Sentence(f"{arm.name}: {text}.", rows[arm.name]))
    null = group.arm(NULL)
    if null is not None and null.retuned is not None:
        shown = interval(null.retuned, group.metric)
        told.append(Sentence(f"Chaos alone ({NULL}, retuned too): {shown}.", rows[NULL][:1]))
    return told


def interval(difference: Difference, metric: str) -> str:
    """E.g. ``−0.44 [−0.80, −0.09] points of test accuracy (5 pairs)``."""
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
    """E.g. ``−0.44 [−0.80, −0.09]``."""
    ends = (difference.mean, difference.low, difference.high)
    mean, low, high = (signed(value, metric) for value in ends)
    return mean if math.isnan(difference.low) else f"{mean} [{low}, {high}]"


def rate_text(lr: float) -> str:
    """A power of two as such, e.g. ``2^-3``, half octaves too; else plain digits."""
    octave = math.log2(lr)
    half = round(2 * octave) / 2
    return f"2^{half:g}" if abs(octave - half) < 1e-6 else f"{lr:g}"


def octaves_text(shift: Interval) -> str:
    """E.g. ``+1`` where all seeds agree, else ``+0.8 [+0.6, +1.1]``; nothing without seeds."""
    if shift.seeds == 0:
        return ""
    mean, low, high = (_rounded(value) for value in (shift.mean, shift.low, shift.high))
    if math.isnan(shift.low) or shift.low == shift.high:
        return mean
    return f"{mean} [{low}, {high}]"


def _answered(group: Group, arm: Arm, answer: Answer) -> str:
    if answer.kind == "relabelling":
        return _pairs(arm)
    if answer.kind == "never learns":
        return (
            f"none of its {arm.runs} runs learned ({arm.diverged} diverged, {arm.not_learned}"
            " stayed where they began)"
        )
    assert arm.retuned is not None or answer.reason is not None
    shown = interval(arm.retuned, group.metric) if arm.retuned is not None else ""
    margin = _unsigned(group.margin, group.metric)
    if answer.kind == "absorbed":
        told = f"retuned: {shown}, within ±{margin} ({_p(answer.equivalence_p)})"
        if answer.difference_p < 0.05:
            told += f", though a difference shows ({_p(answer.difference_p)})"
        return told
    if answer.kind == "different":
        why = f" It comes from this: {', '.join(arm.obstacles)}" if arm.obstacles else ""
        return f"retuned: {shown}, beyond chaos ({_p(answer.difference_p)}).{why}"
    return f"it cannot be told: {answer.reason}" + (f"; retuned: {shown}" if shown else "")


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
    told = [f"best lr {octaves_text(arm.octaves.best)} octaves"]
    if arm.octaves.cliff.seeds:
        told.append(f"cliff {octaves_text(arm.octaves.cliff)}")
    return [", ".join(told)]


def _left(group: Group, arm: Arm, reference: Arm) -> list[str]:
    """What it costs to leave the learning rate where it was."""
    if arm.unretuned is None or not arm.unretuned.pairs or reference.best_lr is None:
        return []
    if arm.shift == 0:
        return []  # the same runs
    told = f"left at lr {rate_text(reference.best_lr)}: {interval(arm.unretuned, group.metric)}"
    there = next((p for p in arm.prices if p.lr == reference.best_lr), None)
    if there is not None and there.steps != there.reference_steps:
        now, before = (_steps(steps) for steps in (there.steps, there.reference_steps))
        told += f", {group.goal} {now} instead of {before}"
    return [told]


def _steps(steps: float) -> str:
    return "never" if math.isinf(steps) else f"after {steps:g} steps"


def _moved(octaves: float) -> str:
    plural = "" if abs(octaves) == 1 else "s"
    return f"{abs(octaves):.3g} octave{plural} {'higher' if octaves > 0 else 'lower'}"


def _unit(metric: str) -> str:
    return f"{'points of ' if metric == ACCURACY else ''}{metric.replace('/', ' ')}"


def signed(value: float, metric: str) -> str:
    """A difference of a metric, in percentage points where it is accuracy."""
    text = f"{100 * value:+.2f}" if metric == ACCURACY else f"{value:+.2g}"
    # "−0.00" would claim a direction that the digits do not show.
    return "0" if float(text) == 0 else text.replace("-", "−")


def _unsigned(value: float, metric: str) -> str:
    return f"{100 * value:g}" if metric == ACCURACY else f"{value:.2g}"


def _rounded(octaves: float) -> str:
    text = f"{octaves:+.2f}".rstrip("0").rstrip(".")
    return "0" if float(text) == 0 else text.replace("-", "−")


def _p(value: float) -> str:
    return f"p = {value:.2g}" if value >= 1e-4 else "p < 0.0001"


def _join(names: Sequence[str]) -> str:
    quoted = [f"“{name}”" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
