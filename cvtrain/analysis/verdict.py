"""The answer for each arm of a sweep, decided from laws, bits and statistics alone.

One of six answers:

- **relabelling**: a law makes its runs equal to runs of the reference, or of another arm, at
  another learning rate, and all of these pairs are equal, bit for bit.
- **law broken**: an exact law makes pairs of runs equal, but a pair trained on a CPU is not.
- **absorbed**: once the learning rate is retuned, the outcome is equivalent to the reference's
  within a margin that was stated beforehand, and training fails no more often.
- **different**: the outcome differs from the reference's and from the jitter control's, or training
  fails more often.
- **never learns**: the arm stays at the untrained loss, where the reference learns.
- **inconclusive**: none of these; with the reason, and what is missing for an answer.

`report.decides_on` states beforehand what decides: the registered curves
(`cvtrain.analysis.registration`), or the best learning rates (`cvtrain.analysis.optimum`), which
also decide if there is no curve. An answer requires that both best rates lie inside the range
tried. p-values are adjusted for all arms of a sweep that have no answer yet (Holm 1979) and
compared with the level of the look (`cvtrain.analysis.looks`): if seeds are added until all arms
have answers, the probability of a false answer is at most 5 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from cvtrain.analysis.answer import (
    Answer,
    advice_of,
    advice_of_law,
    cost_text,
    difference_text,
    rest_text,
)
from cvtrain.analysis.arms import CONTROL, REFERENCE
from cvtrain.analysis.comparison import Group
from cvtrain.analysis.difference import Difference
from cvtrain.analysis.evidence import Evidence, decided_by_law, evidence, learned, never_learns
from cvtrain.analysis.looks import Look
from cvtrain.analysis.metric import ACCURACY
from cvtrain.analysis.price import moved, prices
from cvtrain.analysis.statistics import holm, significant


@dataclass(frozen=True)
class Decision:
    """The result of the tests of an arm.

    Attributes:
        kind: the significant test; None: none.
        equivalence_p, difference_p: p-values adjusted for all arms without an answer (Holm 1979).
        look: the look at which the test was significant, or the present one.
        arms: number of arms that had no answer at that look.
    """

    kind: Literal["fails more often", "equal", "differs"] | None
    equivalence_p: float
    difference_p: float
    look: Look
    arms: int


def decide(groups: Sequence[Group]) -> dict[tuple[str, str], Answer]:
    """The answer for each arm by (group, arm); reference and control have none.

    The tests of earlier looks are repeated on the runs of these looks. An arm that had an answer
    then keeps it, while its numbers include all runs.
    """
    decisions: dict[tuple[str, str], Decision] = {}
    evidence: list[Evidence] = []
    for number in range(len(groups[0].looks) if groups else 0):
        evidence = list(_evidence([group.at_look(number) for group in groups]))
        undecided = [
            one
            for one in evidence
            if not decided_by_law(one.law)
            and (one.key not in decisions or decisions[one.key].kind is None)
        ]
        adjusted = (
            holm([getattr(one, test) for one in undecided])
            for test in ("equivalence_p", "difference_p", "failure_p")
        )
        look = groups[0].looks[number]
        for one, equal_p, differ_p, fail_p in zip(undecided, *adjusted, strict=True):
            kind = _significant_test(one, equal_p, differ_p, fail_p, look.level)
            decisions[one.key] = Decision(kind, equal_p, differ_p, look, len(undecided))
    return {one.key: _answer(one, decisions.get(one.key)) for one in evidence}


def _evidence(groups: Sequence[Group]) -> Iterator[Evidence]:
    for group in groups:
        if group.base is not None:
            for arm in group.arms:
                if arm.name not in (group.reference, CONTROL):
                    yield evidence(group, arm)


def _significant_test(
    evidence: Evidence, equal_p: float, differ_p: float, fail_p: float, level: float
) -> Literal["fails more often", "equal", "differs"] | None:
    if significant(fail_p, level):
        return "fails more often"
    if evidence.edge:
        return None
    suspicious = evidence.optimum is not None and evidence.optimum.failures.suspicious
    if significant(equal_p, level) and not suspicious:
        return "equal"
    return "differs" if significant(differ_p, level) else None


def differs(difference: Difference, from_control: Difference | None) -> bool:
    """Whether the intervals of the differences from the reference and from the jitter control both
    exclude 0, on the same side; without a control, that from the reference alone."""
    both = (
        [difference]
        if from_control is None or from_control.pairs < 2
        else [difference, from_control]
    )
    return all(d.low > 0 for d in both) or all(d.high < 0 for d in both)


def _answer(evidence: Evidence, decision: Decision | None) -> Answer:
    group, arm, law = evidence.group, evidence.arm, evidence.law
    grid, rising = evidence.reference.grid, group.rising
    plain = Answer(
        group.name,
        arm.name,
        "inconclusive",
        advice=advice_of(evidence.registration),
        outcome="",
        law=law,
        registration=evidence.registration,
        control=evidence.control,
        optimum=evidence.optimum,
    )
    if decision is None:  # by a law
        assert law is not None
        base = group.arm(law.base)
        against = None if law.base == REFERENCE else law.base
        # An arm that a law makes equal needs no runs of its own: it costs what its base costs
        # there.
        cost = prices(grid, moved((base or evidence.reference).grid, law.octaves), rising)
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
    plain = replace(
        plain,
        prices=cost,
        cost=cost_text(cost, group.metric),
        equivalence_p=decision.equivalence_p,
        difference_p=decision.difference_p,
        look=decision.look,
    )
    if np.isinf(grid.median_loss).all():
        reason = f"{group.reference} fails at each learning rate; smaller ones (lr_octave=…)"
        return _open(replace(plain, advice="unknown"), reason)
    if not learned(grid, group.untrained):
        reason = (
            f"nothing has learned yet at {group.max_steps} steps; more steps or larger rates"
            f" (the same command with max_steps={4 * group.max_steps})"
        )
        return _open(replace(plain, advice="unknown"), reason)
    if never_learns(arm.grid, group.untrained):
        return replace(plain, kind="never learns", advice="no rate helps", outcome="never learns")
    return _by_statistics(evidence, plain, decision)


def _by_statistics(evidence: Evidence, plain: Answer, decision: Decision) -> Answer:
    group, optimum = evidence.group, evidence.optimum
    if evidence.by_curves:
        shown, within = rest_text(evidence.registration), f"{100 * group.margin_loss:g} %"
    elif optimum is not None:
        shown = difference_text(optimum, group.metric)
        scale = 100 if group.metric == ACCURACY else 1
        within = f"{scale * group.margin:.3g}{' points' if scale == 100 else ''}"
    else:
        return _open(plain, _without_rate(evidence))
    fails = "" if optimum is None else optimum.failures.text
    if decision.kind == "fails more often":
        reason = f"training fails more often{fails}"
        return replace(plain, kind="different", outcome=f"not the same: {reason}", reason=reason)
    if decision.kind == "equal":
        outcome = f"the outcome is equal within {within} ({shown}){fails}"
        return replace(plain, kind="absorbed", outcome=outcome)
    if decision.kind == "differs":
        reason = f"the outcome differs: {shown}{fails}"
        return replace(plain, kind="different", outcome=f"not the same: {reason}", reason=reason)
    if evidence.edge:
        return _open(plain, f"a best learning rate is at the edge of those tried: {shown}{fails}")
    shown = f"{shown}, equality is to be within {within}{fails}"
    return _with_seeds(evidence, plain, decision, shown)


def _open(plain: Answer, reason: str) -> Answer:
    return replace(plain, kind="inconclusive", outcome=f"inconclusive: {reason}", reason=reason)


def _without_rate(evidence: Evidence) -> str:
    """The reason why an arm could not be compared."""
    for who, arm in (
        (evidence.group.reference, evidence.reference),
        (evidence.arm.name, evidence.arm),
    ):
        if arm.best_lr is None:
            return f"{who} has no usable learning rate: at each of them a run fails or is missing"
    return "too few seeds in common"


def _with_seeds(evidence: Evidence, plain: Answer, decision: Decision, shown: str) -> Answer:
    """An inconclusive answer with the number of seeds that would settle it."""
    group, look = evidence.group, decision.look
    unlike = significant(evidence.registration.difference_p, look.level)
    if evidence.control is None and unlike and evidence.by_curves:
        reason = f"a difference shows, but no jitter control says what chaos does: {shown}"
        return _open(replace(plain, more_overrides=("null_arm=true",)), reason)
    # An experiment may train fewer seeds with one optimizer than with another.
    have = group.looks[-1].seeds
    if have >= look.max_seeds:
        return _open(plain, f"report.max_seeds={look.max_seeds} is reached: {shown}")
    enough = evidence.seeds_for_answer(lambda seeds: look.level_at(seeds) / decision.arms)
    if enough is None and evidence.optimum is not None and evidence.optimum.failures.suspicious:
        enough = 2 * have
    if enough is None:
        return _open(plain, f"no number of seeds is known that would be enough: {shown}")
    more = enough - have
    allowed = min(enough, look.max_seeds) - have
    seconds = more * group.seconds_per_replicate
    about = f"about {more} more {group.unit}{'s' if more > 1 else ''}"
    about += "" if math.isnan(seconds) else f", {seconds:.0f} s"
    about += "" if allowed == more else f", {allowed} of them before report.max_seeds"
    # With data.seed='${seed}' each seed draws its own split.
    by_seed = len(group.splits) < 2 or group.splits == group.seeds
    key, numbers = ("seed", group.seeds) if by_seed else ("data.seed", group.splits)
    wanted = (f"{key}={_extended(numbers, allowed)}",)
    return _open(
        replace(plain, more_seeds=more, more_seconds=seconds, more_overrides=wanted),
        f"{about} ({shown})",
    )


def _extended(numbers: Sequence[int], more: int) -> str:
    """Seeds with `more` new ones appended, as a value on the command line."""
    first, last = min(numbers), max(numbers) + more
    if len(numbers) == max(numbers) - first + 1:
        return f"range({first},{last + 1})"
    return ",".join(map(str, [*sorted(numbers), *range(max(numbers) + 1, last + 1)]))
