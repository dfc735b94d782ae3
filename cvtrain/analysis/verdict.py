"""What each arm of a sweep came to: decided from laws, bits and statistics, nothing else.

One of six answers:

- **relabelling**: a law makes its runs equal to runs of the reference, or of another arm, at
  another learning rate, and all of those pairs are equal, bit for bit.
- **law broken**: an exact law makes pairs of runs equal, and on a CPU one of them is not.
- **absorbed**: once the learning rate is retuned the outcome is equivalent to the reference's,
  within a margin that was stated beforehand, and training fails no more often.
- **different**: it is not: the outcome differs from the reference's and from the jitter control's,
  or training fails more often.
- **never learns**: it stays at the untrained loss, where the reference learns.
- **inconclusive**: none of these, why, and what it would take.

What decides was said beforehand (`report.decides_on`): the curves laid on each other
(`cvtrain.analysis.registration`), or the best learning rates (`cvtrain.analysis.optimum`), which
also decide where there is no curve to lay. An answer takes both best rates inside the rates tried.
p-values are adjusted for all arms of a sweep (Holm 1979), and hold for one look: who adds seeds
until an answer appears has a larger share of false ones (five looks: 8 % instead of 5 %).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from cvtrain.analysis.answer import (
    Answer,
    advice_of,
    advice_of_law,
    cost_text,
    difference_text,
    rest_text,
)
from cvtrain.analysis.arms import CONTROL, REFERENCE
from cvtrain.analysis.difference import Difference
from cvtrain.analysis.evidence import Evidence, decided_by_law, evidence, learned, never_learns
from cvtrain.analysis.metric import ACCURACY
from cvtrain.analysis.price import moved, prices
from cvtrain.analysis.scores import Group
from cvtrain.analysis.statistics import holm, significant


def decide(groups: Sequence[Group]) -> dict[tuple[str, str], Answer]:
    """The answer for each arm by (group, arm); the reference and the control have none."""
    found = [
        evidence(group, arm)
        for group in groups
        if group.base is not None
        for arm in group.arms
        if arm.name not in (group.reference, CONTROL)
    ]
    open_ = [each for each in found if not decided_by_law(each.law)]
    adjusted = zip(
        *(
            holm([getattr(each, kind) for each in open_])
            for kind in ("equivalence_p", "difference_p", "failure_p")
        ),
        strict=True,
    )
    by_place = dict(zip(map(id, open_), adjusted, strict=True))
    nothing = (math.nan, math.nan, math.nan)
    answers: dict[tuple[str, str], Answer] = {}
    for each in found:
        answer = _answer(each, *by_place.get(id(each), nothing))
        answers[each.group.name, each.arm.name] = answer
    return answers


def differs(difference: Difference, from_control: Difference | None) -> bool:
    """Whether the intervals of the differences from the reference and from the jitter control both
    leave out 0, on the same side; without a control that of the reference alone."""
    both = (
        [difference]
        if from_control is None or from_control.pairs < 2
        else [difference, from_control]
    )
    return all(each.low > 0 for each in both) or all(each.high < 0 for each in both)


def _answer(found: Evidence, equal_p: float, differ_p: float, fail_p: float) -> Answer:
    group, arm, law = found.group, found.arm, found.law
    grid, rising = found.reference.grid, group.rising
    plain = Answer(
        group.name,
        arm.name,
        "inconclusive",
        advice=advice_of(found.registration),
        outcome="",
        law=law,
        registration=found.registration,
        control=found.control,
        optimum=found.optimum,
        equivalence_p=equal_p,
        difference_p=differ_p,
    )
    if decided_by_law(law):
        assert law is not None
        base = group.arm(law.base)
        against = None if law.base == REFERENCE else law.base
        # What a law makes equal needs no runs of its own: it costs what the base costs there.
        cost = prices(grid, moved((base or found.reference).grid, law.octaves), rising)
        plain = replace(plain, prices=cost, cost=cost_text(cost, group.metric))
        pairs = f"{law.equal} of {law.pairs} pairs"
        if law.holds:
            outcome = f"the same training, bit for bit ({pairs})"
            return replace(
                plain,
                kind="relabelling",
                advice=advice_of_law(law.octaves, against),
                outcome=outcome,
            )
        reason = f"the law says bit for bit, but only {pairs} are equal"
        return replace(plain, kind="law broken", outcome=f"law broken: {reason}", reason=reason)
    cost = prices(grid, arm.grid, rising)
    plain = replace(plain, prices=cost, cost=cost_text(cost, group.metric))
    if not learned(grid, group.untrained):
        reason = f"nothing has learned yet at {group.max_steps} steps; more steps or larger rates"
        more = (f"max_steps={4 * group.max_steps}",)
        return _open(replace(plain, advice="unknown", more_overrides=more), reason)
    if never_learns(arm.grid, group.untrained):
        return replace(plain, kind="never learns", advice="no rate helps", outcome="never learns")
    return _by_statistics(found, plain, fail_p)


def _by_statistics(found: Evidence, plain: Answer, fail_p: float) -> Answer:
    group, optimum = found.group, found.optimum
    if found.by_curves:
        shown, within = rest_text(found.registration), f"{100 * group.margin_loss:g} %"
    elif optimum is not None:
        shown = difference_text(optimum, group.metric)
        scale = 100 if group.metric == ACCURACY else 1
        within = f"{scale * group.margin:.3g}{' points' if scale == 100 else ''}"
    else:
        return _open(plain, _without_rate(found))
    fails = "" if optimum is None else optimum.failures.text
    if significant(fail_p):
        reason = f"training fails more often{fails}"
        return replace(plain, kind="different", outcome=f"not the same: {reason}", reason=reason)
    if found.edge:
        return _open(plain, f"a best learning rate is at the edge of those tried: {shown}{fails}")
    if significant(plain.equivalence_p) and not (optimum and optimum.failures.suspicious):
        outcome = f"the outcome is equal within {within} ({shown}){fails}"
        return replace(plain, kind="absorbed", outcome=outcome)
    if significant(plain.difference_p):
        reason = f"the outcome differs: {shown}{fails}"
        return replace(plain, kind="different", outcome=f"not the same: {reason}", reason=reason)
    return _with_seeds(found, plain, f"{shown}, equality is to be within {within}{fails}")


def _open(plain: Answer, reason: str) -> Answer:
    return replace(plain, kind="inconclusive", outcome=f"inconclusive: {reason}", reason=reason)


def _without_rate(found: Evidence) -> str:
    """Why an arm without a comparison has none."""
    for who, arm in ((found.group.reference, found.reference), (found.arm.name, found.arm)):
        if arm.best_lr is None:
            return f"{who} has no usable learning rate: at each of them a run fails or is missing"
    return "too few seeds in common"


def _with_seeds(found: Evidence, plain: Answer, shown: str) -> Answer:
    """An answer that more seeds would give, and how many."""
    group, optimum = found.group, found.optimum
    if found.control is None and significant(found.registration.difference_p) and found.by_curves:
        reason = f"a difference shows, but no jitter control says what chaos does: {shown}"
        return _open(replace(plain, more_overrides=("null_arm=true",)), reason)
    enough = None
    if found.by_curves:
        enough = found.registration.seeds_needed
    elif optimum is not None:
        enough = optimum.seeds_needed
    if enough is None and optimum is not None and optimum.failures.suspicious:
        enough = 2 * group.replicates
    if enough is None:
        return _open(plain, f"no number of seeds is known that would be enough: {shown}")
    more = max(enough - group.replicates, 1)
    seconds = more * group.seconds_per_replicate
    time = "" if math.isnan(seconds) else f", {seconds:.0f} s"
    # data.seed='${seed}' draws a split with each seed.
    by_seed = len(group.splits) < 2 or group.splits == group.seeds
    key, numbers = ("seed", group.seeds) if by_seed else ("data.seed", group.splits)
    wanted = f"{key}=range({min(numbers)},{max(numbers) + 1 + more})"
    return _open(
        replace(plain, more_seeds=more, more_seconds=seconds, more_overrides=(wanted,)),
        f"about {more} more {group.unit}{'s' if more > 1 else ''}{time} ({shown})",
    )
