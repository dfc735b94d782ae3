"""Several looks at one sweep: the level of each, so that all of them together err as one may.

Who adds seeds until an answer appears tests more than once. Each look spends a part of the error
(Lan and DeMets 1983, Discrete sequential boundaries for clinical trials, Biometrika 70:659): up to
n of at most N seeds α·(n/N)^¼, from the power family of Kim and DeMets 1987, Design and analysis of
group sequential tests, Biometrika 74:149, with an exponent that leaves most of it to the first
look. The level of a look is what may be spent by then, less what earlier looks have spent: the
levels add up to α at most, so that by Bonferroni's inequality all looks together keep it, however
trimmed means of growing samples depend on each other.
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
"""Power of the share of seeds: of 8 of 32 seeds, 71 % of the error are spent."""


@dataclass(frozen=True)
class Look:
    """One look at the answers of a sweep.

    Attributes:
        seeds: how many there were, or splits of the data where these are the replicates.
        max_seeds: the most that there are to be.
        level: of its tests.
        spent: error of this and all earlier looks.
    """

    seeds: int
    max_seeds: int
    level: float = LEVEL
    spent: float = LEVEL

    def level_at(self, seeds: RealArray) -> RealArray:
        """The level of the next look, at so many seeds."""
        return np.maximum(spent_error(seeds, self.max_seeds) - self.spent, 0.0)


def spent_error(seeds: RealArray, max_seeds: int) -> RealArray:
    """The error that may be spent up to a look at so many seeds; `LEVEL` from `max_seeds` on."""
    return np.asarray(LEVEL * np.minimum(seeds / max_seeds, 1.0) ** EXPONENT)


def levels_of_looks(numbers: Iterable[tuple[int, int]]) -> tuple[Look, ...]:
    """The looks of a sweep, with their levels.

    Args:
        numbers: of seeds, and of the most seeds, of each look from the first one on. Where the most
            seeds were raised in between, what has been spent stays spent.
    """
    looks: list[Look] = []
    spent = 0.0
    for seeds, max_seeds in numbers:
        now = max(spent, float(spent_error(np.array(float(seeds)), max_seeds)))
        looks.append(Look(seeds, max_seeds, now - spent, now))
        spent = now
    return tuple(looks)


def looks_of(runs: pd.DataFrame) -> dict[int, Look]:
    """The looks of a sweep by their numbers, as they stand in the column `look` of its runs.

    Runs that were added without more seeds, as a jitter control, belong to the look before.
    """
    by_seeds: dict[int, tuple[int, int]] = {}
    for number in sorted(runs["look"].unique()):
        rows = runs[runs["look"] <= number]
        most = setting(rows.iloc[::-1], "report.max_seeds", ReportConfig().max_seeds)
        by_seeds[len(set(replicates(run_keys(rows))))] = int(number), int(most)
    looks = levels_of_looks((seeds, most) for seeds, (_, most) in by_seeds.items())
    return {number: look for (number, _), look in zip(by_seeds.values(), looks, strict=True)}
