"""What each arm of a sweep came to: decided from laws, bits and statistics, nothing else.

One of five answers:

- **relabelling**: a law makes its runs equal to runs of the reference at another learning rate,
  and all of those pairs are equal, bit for bit.
- **absorbed**: with the learning rate retuned, the test metric is equivalent to the reference's
  (TOST within a margin that was stated beforehand, over seeds that did not choose the rates).
- **different**: with the learning rate retuned it is not: the paired test shows it at a false
  discovery rate of 5 % over all arms of the sweep, and by more than the jitter control moves.
- **never learns**: every run diverged or stayed where it began.
- **inconclusive**: none of these, and why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cvtrain.analysis.arms import NULL, REFERENCE
from cvtrain.analysis.difference import Difference, adjusted_p
from cvtrain.analysis.equivalence import SEEDS_NEEDED, equivalence_p
from cvtrain.analysis.scores import Arm, Group

Kind = Literal["relabelling", "absorbed", "different", "never learns", "inconclusive"]

LEVEL = 0.05


@dataclass(frozen=True)
class Answer:
    """What one arm came to.

    Attributes:
        kind: see above.
        equivalence_p: of two one-sided tests; NaN without enough pairs.
        difference_p: of the paired test, adjusted for all arms of the sweep (Benjamini and Hochberg
            1995); NaN without enough pairs.
        reason: what is missing for an answer, or None.
    """

    kind: Kind
    equivalence_p: float
    difference_p: float
    reason: str | None = None


def decide(groups: Sequence[Group]) -> dict[tuple[str, str], Answer]:
    """The answer for each arm by (group, arm); the reference and the jitter control have none."""
    asked = [
        (group, arm)
        for group in groups
        if group.arm(REFERENCE) is not None
        for arm in group.arms
        if arm.name not in (REFERENCE, NULL)
    ]
    tested = {
        place: arm.retuned
        for place, (group, arm) in enumerate(asked)
        if arm.retuned is not None and not relabelled(arm) and _enough(group, arm.retuned)
    }
    adjusted = dict(zip(tested, adjusted_p(list(tested.values())), strict=True))
    return {
        (group.name, arm.name): _answer(group, arm, adjusted.get(place, math.nan))
        for place, (group, arm) in enumerate(asked)
    }


def relabelled(arm: Arm) -> bool:
    """Whether a law makes its runs equal to the reference's, and they are, bit for bit."""
    exact = [pair for pair in arm.pairs if pair.exact]
    return not arm.obstacles and bool(exact) and all(pair.equal for pair in exact)


def never_learned(arm: Arm) -> bool:
    """Whether every run of an arm diverged or stayed where it began."""
    return arm.diverged + arm.not_learned == arm.runs


def beyond_chaos(difference: Difference, null: Difference | None) -> bool:
    """Whether a mean is larger than both ends of the jitter control's interval."""
    if null is None or math.isnan(null.low):
        return False
    return abs(difference.mean) > max(abs(null.low), abs(null.high))


def differs(difference: Difference, null: Difference | None) -> bool:
    """Whether an interval leaves out 0, and by more than the jitter control moves, where run."""
    if math.isnan(difference.low) or difference.low <= 0 <= difference.high:
        return False
    return null is None or null.pairs < 2 or beyond_chaos(difference, null)


def _enough(group: Group, difference: Difference) -> bool:
    return len(group.held_out) >= SEEDS_NEEDED and difference.pairs >= SEEDS_NEEDED


def _answer(group: Group, arm: Arm, difference_p_value: float) -> Answer:
    none = math.nan
    if relabelled(arm):
        return Answer("relabelling", none, none)
    if never_learned(arm):
        return Answer("never learns", none, none)
    reference, null = group.arm(REFERENCE), group.arm(NULL)
    assert reference is not None  # `decide` asks for no arm without one
    if reference.best_lr is None or arm.best_lr is None or arm.retuned is None:
        who = REFERENCE if reference.best_lr is None else arm.name
        return Answer("inconclusive", none, none, f"{who} has no usable learning rate")
    if not _enough(group, arm.retuned):
        told = f"{len(group.held_out)} seeds are held out from choosing learning rates"
        if len(group.held_out) >= SEEDS_NEEDED:
            told = f"only {arm.retuned.pairs} pairs of held-out seeds were measured"
        return Answer("inconclusive", none, none, f"{told}; it takes {SEEDS_NEEDED}")
    p = equivalence_p(arm.retuned.values, group.margin)
    if p < LEVEL:
        return Answer("absorbed", p, difference_p_value)
    reason = None
    if difference_p_value >= LEVEL:
        reason = "neither a difference nor equivalence shows with so few seeds"
    elif null is None or null.retuned is None or math.isnan(null.retuned.low):
        reason = "a difference shows, but no jitter control was run beside it (null_arm=true)"
    elif not beyond_chaos(arm.retuned, null.retuned):
        reason = "a difference shows, but the jitter control moves as much"
    elif arm.edge or reference.edge:
        reason = "a difference shows, but a best learning rate is at the edge of those tried"
    if reason is not None:
        return Answer("inconclusive", p, difference_p_value, reason)
    return Answer("different", p, difference_p_value)
