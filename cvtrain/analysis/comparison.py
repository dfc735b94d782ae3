"""The comparison of a sweep: groups of arms, each arm at its best learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from cvtrain.analysis.arms import REFERENCE
from cvtrain.analysis.difference import Difference, SameRate
from cvtrain.analysis.exact_pairs import Pair
from cvtrain.analysis.grid import Grid
from cvtrain.analysis.looks import Look
from cvtrain.analysis.lr_shift import Shift
from cvtrain.config.sections import ReportConfig
from cvtrain.training.metrics import RISING


@dataclass(frozen=True)
class Arm:
    """One arm of a group, at its best learning rate.

    Attributes:
        grid: its runs by seed and learning rate.
        best_lr: learning rate of the lowest trimmed mean validation loss over all seeds; None if no
            rate is eligible (`cvtrain.analysis.best_lr.chosen_rate`).
        edge: whether `best_lr` is the smallest or largest of several rates tried.
        score: mean validation loss at `best_lr`, over all runs.
        test_mean, test_spread: mean and standard deviation of the test metric at `best_lr`.
        steps_to_target: median steps to the goal at `best_lr`; infinite if most runs do not reach
            it.
        runs, diverged, not_learned, failed, unfinished: numbers of runs over all learning rates.
        shift: octaves from the reference's best learning rate to the arm's; None without either.
        retuned: difference if each replicate is judged at the rate that the other replicates
            choose; trimmed mean.
        unretuned: difference at the reference's best learning rate; trimmed mean.
        prices: difference at each learning rate that both arms have; trimmed means.
        octaves: shifts of landmarks, from all seeds.
        pairs: pairs of runs that a law makes equal.
        obstacles: why no learning rate makes the arm equal to the reference; empty if one does.
        earlier: `grid` at each look but the last; None if the arm had no runs yet.
    """

    name: str
    grid: Grid
    best_lr: float | None
    edge: bool
    score: float
    test_mean: float
    test_spread: float
    steps_to_target: float
    runs: int
    diverged: int
    not_learned: int
    failed: int
    unfinished: int
    shift: float | None = None
    retuned: Difference | None = None
    unretuned: Difference | None = None
    prices: tuple[SameRate, ...] = ()
    octaves: Shift | None = None
    pairs: tuple[Pair, ...] = ()
    obstacles: tuple[str, ...] = ()
    earlier: tuple[Grid | None, ...] = ()


@dataclass(frozen=True)
class Group:
    """Arms that are compared with each other: one optimizer and setting.

    Attributes:
        arms: the reference first, the jitter control last.
        metric: tag of the test metric, e.g. ``test/accuracy``.
        goal: the goal that "steps to target" refers to, e.g. ``accuracy 0.95``.
        margin: largest difference of the test metric that is called equal; NaN without a reference.
        test_samples: number of samples in the smallest test split; 0 if unknown.
        margin_loss: share of the test loss that is called equal.
        decides_on: what decides the answer; see `cvtrain.config.sections.ReportConfig`.
        untrained: loss before training; NaN if unknown.
        max_steps: number of planned updates.
        seeds, splits: those of all its runs.
        replicates: number of replicates (`cvtrain.analysis.replicates`).
        seconds_per_replicate: training time that the sweep took per replicate; NaN if unknown.
        reference: name of the arm that the others are compared with.
        varied: the keys that make the arms; empty if arms are readings of the gradient.
        rises: whether larger values are better, for a metric that a user added.
        looks: looks at the answers of the sweep, the present one last.
    """

    name: str
    arms: tuple[Arm, ...]
    metric: str
    goal: str
    margin: float = math.nan
    test_samples: int = 0
    margin_loss: float = ReportConfig().margin_loss
    decides_on: str = "curves"
    untrained: float = math.nan
    max_steps: int = 0
    seeds: tuple[int, ...] = ()
    splits: tuple[int, ...] = ()
    replicates: int = 0
    seconds_per_replicate: float = math.nan
    reference: str = REFERENCE
    varied: str = ""
    rises: bool = False
    looks: tuple[Look, ...] = (Look(0, 1),)

    def at_look(self, number: int) -> Group:
        """The group with the grids that its arms had at a look; all else is as it is now."""
        grids = ((arm, (*arm.earlier, arm.grid)[number]) for arm in self.arms)
        return replace(self, arms=tuple(replace(a, grid=g) for a, g in grids if g is not None))

    @property
    def unit(self) -> str:
        """The replicate in words: ``data split`` or ``seed``."""
        return "data split" if len(self.splits) > 1 else "seed"

    @property
    def base(self) -> Arm | None:
        """The reference, or None."""
        return self.arm(self.reference)

    @property
    def rising(self) -> bool:
        """Whether larger values of the test metric are better."""
        return self.rises or self.metric.removeprefix("test/") in RISING

    def arm(self, name: str) -> Arm | None:
        """The arm of that name, or None."""
        return next((arm for arm in self.arms if arm.name == name), None)


@dataclass(frozen=True)
class Comparison:
    """The result of comparing the arms of a sweep.

    Attributes:
        groups: the groups in the order of their first runs.
        runs: the runs that have begun, with columns of `label_runs` and `with_scores`.
        predicted_shifts: octaves by which the law moves the best learning rate, by group and arm;
            NaN if the law predicts none.
    """

    groups: tuple[Group, ...]
    runs: pd.DataFrame
    predicted_shifts: Mapping[tuple[str, str], float] = field(default_factory=dict)
