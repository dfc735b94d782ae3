"""Several looks at one sweep: the level of each, such that all of them together keep the error
rate.

Adding seeds until an answer appears means testing more than once. Each look therefore spends a part
of the error (Lan and DeMets 1983, Discrete sequential boundaries for clinical trials, Biometrika
70:659): up to n of at most N seeds α·(n/N)^¼, from the power family of Kim and DeMets 1987, Design
and analysis of group sequential tests, Biometrika 74:149, with an exponent that leaves most of it
to the first look. The level of a look is the error that may be spent by then minus the error that
earlier looks have spent. The levels add up to at most α, so by Bonferroni's inequality all looks
together keep α, even though the trimmed means of growing samples depend on each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cvtrain.analysis.metric import setting
from cvtrain.analysis.replicates import replicates, run_keys
from cvtrain.analysis.statistics import LEVEL, RealArray
from cvtrain.config.sections import ReportConfig

EXPONENT = 0.25
"""Power of the share of seeds: at 8 of 32 seeds, 71 % of the error are spent."""


@dataclass(frozen=True)
class Look:
    """One look at the answers of a sweep.

    Attributes:
        seeds: number of seeds, or of splits of the data if these are the replicates.
        max_seeds: largest number of seeds planned.
        level: significance level of its tests.
        spent: error spent by this and all earlier looks.
    """

    seeds: int
    max_seeds: int
    level: float = LEVEL
    spent: float = LEVEL

    def level_at(self, seeds: RealArray) -> RealArray:
        """The level of the next look if it is made at these numbers of seeds."""
        return np.maximum(spent_error(seeds, self.max_seeds) - self.spent, 0.0)


def spent_error(seeds: RealArray, max_seeds: int) -> RealArray:
    """The error that may be spent up to a look at these numbers of seeds; `LEVEL` from `max_seeds`
    on."""
    return np.asarray(LEVEL * np.minimum(seeds / max_seeds, 1.0) ** EXPONENT)


def levels_of_looks(numbers: Iterable[tuple[int, int]]) -> tuple[Look, ...]:
    """The looks of a sweep, with their levels.

    Args:
        numbers: number of seeds and largest number of seeds of each look, in order. If the largest
            number was raised in between, the error already spent stays spent.
    """
    looks: list[Look] = []
    spent = 0.0
    for seeds, max_seeds in numbers:
        now = max(spent, float(spent_error(np.array(float(seeds)), max_seeds)))
        looks.append(Look(seeds, max_seeds, now - spent, now))
        spent = now
    return tuple(looks)


def looks_of(runs: pd.DataFrame) -> dict[int, Look]:
    """The looks of a sweep by number, from the column `look` of its runs.

    Runs that were added without new seeds, such as a jitter control, belong to the previous look.
    """
    by_seeds: dict[int, tuple[int, int]] = {}
    for number in sorted(runs["look"].unique()):
        rows = runs[runs["look"] <= number]
        most = setting(rows.iloc[::-1], "report.max_seeds", ReportConfig().max_seeds)
        by_seeds[len(set(replicates(run_keys(rows))))] = int(number), int(most)
    looks = levels_of_looks((seeds, most) for seeds, (_, most) in by_seeds.items())
    return {number: look for (number, _), look in zip(by_seeds.values(), looks, strict=True)}
