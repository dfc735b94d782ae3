"""The statistics of one arm, before all arms of a sweep are judged together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cvtrain.analysis.answer import LawCheck
from cvtrain.analysis.arms import CONTROL, REFERENCE
from cvtrain.analysis.best_lr import NOT_LEARNED
from cvtrain.analysis.comparison import Arm, Group
from cvtrain.analysis.grid import Grid
from cvtrain.analysis.optimum import Optimum, at_optimum
from cvtrain.analysis.registration import Registration, register, rest_limit
from cvtrain.analysis.statistics import RealArray

AT_CHANCE = 1.1
"""Largest ratio of loss to untrained loss at which the loss has hardly moved."""


@dataclass(frozen=True)
class Evidence:
    """The statistics of one arm, before p-values are adjusted over all arms.

    Attributes:
        group, arm, reference: what is compared.
        law: pairs of runs that a law makes equal, or None.
        registration: the arm's curve laid on the mean of reference and jitter control (on the
            reference alone if there is no control).
        from_reference: the arm's curve laid on the reference's alone.
        control: the jitter control's curve laid on the reference's, or None.
        from_control: the arm's curve laid on the jitter control's, or None.
        optimum: comparison at the best rates, or None.
    """

    group: Group
    arm: Arm
    reference: Arm
    law: LawCheck | None
    registration: Registration
    from_reference: Registration
    control: Registration | None
    from_control: Registration | None
    optimum: Optimum | None

    @property
    def by_curves(self) -> bool:
        """Whether the registered curves decide, not the best learning rates."""
        curves = self.registration.reason is None and self.registration.rest.known
        return curves and (self.group.decides_on == "curves" or self.optimum is None)

    @property
    def equivalence_p(self) -> float:
        """p-value of equivalence: from the registered curves if they decide, else at the best
        rates; NaN if there is neither."""
        if self.by_curves:
            return self.registration.equivalence_p
        return math.nan if self.optimum is None else self.optimum.equivalence_p

    @property
    def difference_p(self) -> float:
        """The larger of two p-values of no difference: from the reference and from the jitter
        control; NaN without a control."""
        if self.by_curves:
            both = [self.from_reference, self.from_control]
            return float(np.max([r.difference_p if r else math.nan for r in both]))
        return math.nan if self.optimum is None else self.optimum.difference_p

    @property
    def failure_p(self) -> float:
        """One-sided p-value (McNemar) of "the arm fails more often than the reference", each at its
        best rate."""
        return math.nan if self.optimum is None else self.optimum.failures.worse_p

    @property
    def key(self) -> tuple[str, str]:
        """The names of group and arm."""
        return self.group.name, self.arm.name

    def seeds_for_answer(self, level_at: Callable[[RealArray], RealArray]) -> int | None:
        """Number of seeds expected to give an answer; see
        `cvtrain.analysis.statistics.Summary.seeds_for_answer`."""
        if self.by_curves:
            summary, margin = self.registration.rest_summary, rest_limit(self.group.margin_loss)
        elif self.optimum is not None:
            summary, margin = self.optimum.summary, self.group.margin
        else:
            return None
        return None if summary is None else summary.seeds_for_answer(margin, level_at)

    @property
    def edge(self) -> bool:
        """Whether a best rate is the smallest or largest one tried."""
        return self.arm.grid.edge or self.reference.grid.edge


def evidence(group: Group, arm: Arm) -> Evidence:
    """Compute the statistics of an arm of `group`, which must have a reference."""
    reference, control = group.base, group.arm(CONTROL)
    assert reference is not None

    def registered(base: Arm, other: Arm, control: Grid | None = None) -> Registration:
        return register(base.grid, other.grid, group.margin_loss, group.untrained, control)

    from_reference = registered(reference, arm)

    return Evidence(
        group,
        arm,
        reference,
        law_check(arm),
        registration=from_reference
        if control is None
        else registered(reference, arm, control.grid),
        from_reference=from_reference,
        control=None if control is None else registered(reference, control),
        from_control=None if control is None else registered(control, arm),
        optimum=at_optimum(
            reference.grid,
            arm.grid,
            None if control is None else control.grid,
            group.margin,
            group.rising,
        ),
    )


def law_check(arm: Arm) -> LawCheck | None:
    """The pairs of runs of an arm that a law makes equal: those with the reference if there are
    any, else with another arm."""
    exact = [pair for pair in arm.pairs if pair.exact] or list(arm.pairs)
    if not exact:
        return None
    bases = [pair.base for pair in exact]
    base = REFERENCE if REFERENCE in bases else Counter(bases).most_common(1)[0][0]
    octaves = Counter(p.octaves for p in exact if p.base == base).most_common(1)[0][0]
    pairs = [p for p in exact if p.base == base]
    strict = [p for p in pairs if p.exact and not math.isnan(p.apart)]
    known = [p.apart for p in arm.pairs if not math.isnan(p.apart)]
    return LawCheck(
        base,
        octaves,
        len(strict),
        sum(pair.equal for pair in strict),
        sum(pair.numbers for pair in strict),
        len(arm.pairs) - len(strict),
        max(known, default=math.nan),
        all(pair.device == "cpu" for pair in strict),
    )


def decided_by_law(law: LawCheck | None) -> bool:
    """Whether the pairs that a law makes equal decide the answer: all are equal, or some differ on
    a CPU. If some differ on another device, statistics decide."""
    return law is not None and law.pairs > 0 and (law.holds or law.on_cpu)


def learned(grid: Grid, untrained: float) -> bool:
    """Whether the median run at some learning rate gets below `NOT_LEARNED` of the untrained loss;
    true if that loss is unknown."""
    medians = grid.median_loss[np.isfinite(grid.median_loss)]
    return bool(len(medians)) and not medians.min() > NOT_LEARNED * untrained


def never_learns(grid: Grid, untrained: float) -> bool:
    """Whether an arm stays at the untrained loss at every rate tried and other rates would not
    help: its best rate is inside the range tried, or the loss has hardly moved at the smallest
    rate."""
    medians = np.where(np.isnan(grid.median_loss), np.inf, grid.median_loss)
    if math.isnan(untrained) or not np.isfinite(medians).any() or learned(grid, untrained):
        return False
    best = int(medians.argmin())
    inside = 0 < best < len(medians) - 1
    return inside or (best == 0 and bool(medians[0] <= AT_CHANCE * untrained))
