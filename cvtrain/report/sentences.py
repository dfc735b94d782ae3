"""Plain sentences about what the readings of a gradient changed, each from numbers of `compare`."""

from __future__ import annotations

import math

from cvtrain.report.arms import NULL, REFERENCE
from cvtrain.report.compare import Arm, Difference, Group

ACCURACY = "test/accuracy"
"""Shown in percentage points; every other metric as it is."""


def describe_group(group: Group) -> list[str]:
    """One sentence for the verdict, then one per arm; the first names the optimizer."""
    reference = group.arm(REFERENCE)
    if reference is None:
        return [f"{group.name}: nothing to compare with: no run of {REFERENCE}."]
    others = [arm for arm in group.arms if arm.name not in (REFERENCE, NULL)]
    if not others:
        return [f"{group.name}: nothing to compare: only {REFERENCE} was run."]
    if reference.best_lr is None:
        return [f"{group.name}: nothing to compare: {REFERENCE} has no usable learning rate."]
    told = [_verdict(group, others)]
    told += [_arm(arm, group.metric, reference.best_lr) for arm in others]
    null = group.arm(NULL)
    if null is not None and null.unretuned is not None:
        shown = interval(null.unretuned, group.metric)
        told.append(f"Chaos alone ({NULL}, same learning rate): {shown}.")
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
    ends = (difference.mean, difference.low, difference.high)
    mean, low, high = (_signed(value, metric) for value in ends)
    if math.isnan(difference.low):
        return f"{mean} {_unit(metric)} ({pairs}: no interval)"
    return f"{mean} [{low}, {high}] {_unit(metric)} ({pairs})"


def rate_text(lr: float) -> str:
    """A power of two as such, e.g. ``2^-3``; else plain digits."""
    octave = math.log2(lr)
    return f"2^{octave:.0f}" if octave.is_integer() else f"{lr:g}"


def differs(difference: Difference, null: Difference | None) -> bool:
    """Whether the interval leaves out 0, by more than chaos alone does."""
    if math.isnan(difference.low) or difference.low <= 0 <= difference.high:
        return False
    reach = max(abs(null.low), abs(null.high)) if null and null.pairs > 1 else 0.0
    return abs(difference.mean) > reach


def never_learned(arm: Arm) -> bool:
    """Whether every run of an arm diverged or stayed where it began."""
    return arm.diverged + arm.not_learned == arm.runs


def _verdict(group: Group, others: list[Arm]) -> str:
    null = group.arm(NULL)
    band = null.unretuned if null else None
    identical, alike, different, never, lost = [], [], [], [], []
    for arm in others:
        if never_learned(arm):
            never.append(arm.name)
        elif arm.retuned is None:
            lost.append(arm.name)
        elif arm.retuned.identical:
            identical.append(arm.name)
        elif differs(arm.retuned, band):
            different.append(arm.name)
        else:
            alike.append(arm.name)
    clauses = []
    if identical:
        clauses.append(f"{_join(identical)} train{_s(identical)} exactly like {REFERENCE}")
    if alike:
        clauses.append(f"no difference shows for {_join(alike)}")
    if different:
        clauses.append(f"{_join(different)} differ{_s(different)}")
    if never:
        clauses.append(f"{_join(never)} learn{_s(never)} at no learning rate")
    if lost:
        clauses.append(f"{_join(lost)} ha{'s' if len(lost) == 1 else 've'} no usable learning rate")
    return f"{group.name}: after retuning the learning rate, {'; '.join(clauses)}."


def _arm(arm: Arm, metric: str, reference_lr: float) -> str:
    if never_learned(arm):
        return (
            f"{arm.name}: none of its {arm.runs} runs learned ({arm.diverged} diverged,"
            f" {arm.not_learned} stayed where they began)."
        )
    told = []
    if arm.retuned is not None and arm.shift is not None:
        told.append(f"{_moved(arm.shift)}: {interval(arm.retuned, metric)}")
    if arm.unretuned is not None and arm.unretuned.pairs and arm.shift != 0:
        told.append(f"left at lr {rate_text(reference_lr)}: {interval(arm.unretuned, metric)}")
    return f"{arm.name}: {'; '.join(told) or 'nothing to pair'}."


def _moved(octaves: float) -> str:
    if octaves == 0:
        return "the same best lr"
    plural = "" if abs(octaves) == 1 else "s"
    direction = "higher" if octaves > 0 else "lower"
    return f"best lr {abs(octaves):.3g} octave{plural} {direction}"


def _unit(metric: str) -> str:
    return f"{'points of ' if metric == ACCURACY else ''}{metric.replace('/', ' ')}"


def _signed(value: float, metric: str) -> str:
    text = f"{100 * value:+.2f}" if metric == ACCURACY else f"{value:+.2g}"
    # "−0.00" would claim a direction that the digits do not show.
    return "0" if float(text) == 0 else text.replace("-", "−")


def _join(names: list[str]) -> str:
    quoted = [f"“{name}”" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _s(names: list[str]) -> str:
    return "s" if len(names) == 1 else ""
