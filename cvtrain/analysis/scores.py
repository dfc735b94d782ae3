"""Arms compared: the best learning rate of each, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from cvtrain.analysis.arms import CONTROL, REFERENCE, label_runs
from cvtrain.analysis.best_lr import with_scores
from cvtrain.analysis.difference import Difference, paired_difference, trimmed
from cvtrain.analysis.effective_lr import predicted_shift
from cvtrain.analysis.exact_pairs import (
    Pair,
    acting_configuration,
    exact_pairs,
    is_mixed,
    obstacles,
)
from cvtrain.analysis.grid import Grid, grid_of
from cvtrain.analysis.load import Sweep
from cvtrain.analysis.looks import Look, looks_of
from cvtrain.analysis.lr_shift import Shift, shift
from cvtrain.analysis.metric import (
    goal,
    is_rising,
    metric_margin,
    setting,
    test_metric,
    test_samples,
)
from cvtrain.analysis.optimum import leave_one_out
from cvtrain.analysis.replicates import PAIRED_BY, replicates, run_keys, seconds_per_replicate
from cvtrain.analysis.same_rate import SameRate, same_rates
from cvtrain.config.sections import ReportConfig
from cvtrain.training.metrics import RISING

COMPARED = (
    *(*PAIRED_BY, "optimizer.lr", "status", "score", "choice", "untrained_loss", "not_learned"),
    *("test/loss", "convergence/steps_to_target", "look"),
)
"""Columns, beside the test metric, in which arms are compared."""


@dataclass(frozen=True)
class Arm:
    """One arm of a group, at its best learning rate.

    Attributes:
        grid: its runs by seed and learning rate.
        best_lr: of the lowest trimmed mean validation loss over all seeds; None where no learning
            rate is eligible (`cvtrain.analysis.best_lr.chosen_rate`).
        edge: whether it is the smallest or largest one that was tried (of several).
        score: the mean validation loss there, over all runs, as all of the following.
        test_mean, test_spread: mean and standard deviation of the test metric there.
        steps_to_target: median there; infinite where most never arrive.
        runs, diverged, not_learned, failed, unfinished: numbers of runs, all learning rates.
        shift: octaves from the reference's best learning rate to this one's; None without either.
        retuned: difference where each replicate is judged at the rate that the others choose.
        unretuned: difference at the reference's best learning rate.
        prices: what the arm costs at each learning rate that both have, if left there; all of these
            differences are trimmed means.
        octaves: shifts of landmarks, from all seeds.
        pairs: runs that a law makes equal to one of the reference.
        obstacles: why no learning rate makes the arm equal to the reference; empty where one does.
        earlier: `grid` at each look but the last; None where it had no runs yet.
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
    """The arms of one optimizer (and setting).

    Attributes:
        arms: the reference first, the jitter control last.
        metric: tag of the test metric, e.g. ``test/accuracy``.
        goal: what "steps to target" means, e.g. ``accuracy 0.95``.
        margin: largest difference of the test metric that does not matter; NaN without a reference.
        test_samples: in the smallest test split; 0 where it is not known.
        margin_loss: share of the test loss that does not matter.
        decides_on: what the answer is read from, see `cvtrain.config.sections.ReportConfig`.
        untrained: loss before training; NaN where it is not known.
        max_steps: planned updates.
        seeds, splits: of all its runs.
        replicates: how many (`cvtrain.analysis.replicates`).
        reference: name of the arm that the others are compared with.
        rises: whether more of an added metric is better.
        varied: the keys that make the arms; empty where they are readings of the gradient.
        seconds_per_replicate: that the sweep took; NaN where it is not known.
        looks: at the answers of the sweep, the present one last.
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
        """The group as it was at a look, as far as grids go."""
        grids = ((arm, (*arm.earlier, arm.grid)[number]) for arm in self.arms)
        return replace(self, arms=tuple(replace(a, grid=g) for a, g in grids if g is not None))

    @property
    def unit(self) -> str:
        """What is repeated, in words."""
        return "data split" if len(self.splits) > 1 else "seed"

    @property
    def base(self) -> Arm | None:
        """The reference, where there is one."""
        return self.arm(self.reference)

    @property
    def rising(self) -> bool:
        """Whether more of the test metric is better."""
        return self.rises or self.metric.removeprefix("test/") in RISING

    def arm(self, name: str) -> Arm | None:
        """The arm of that name, where there is one."""
        return next((arm for arm in self.arms if arm.name == name), None)


@dataclass(frozen=True)
class Comparison:
    """A whole sweep compared.

    Attributes:
        groups: in the order of their first runs.
        runs: the begun runs, with columns of `label_runs` and `with_scores`.
        predicted_shifts: by group and arm, octaves by which the law moves the best learning rate;
            NaN where it does not say.
    """

    groups: tuple[Group, ...]
    runs: pd.DataFrame
    predicted_shifts: Mapping[tuple[str, str], float] = field(default_factory=dict)


def compare(sweep: Sweep) -> Comparison:
    """Choose learning rates on validation, compare arms on test, pair by split and seed."""
    begun = sweep.runs[sweep.runs["status"] != "missing"].copy()
    if begun.empty:
        return Comparison((), begun)
    for tag in ("test/loss", "convergence/steps_to_target"):
        if tag not in begun:
            begun[tag] = math.nan
    runs = with_scores(label_runs(begun, sweep.config_keys))
    pairs = exact_pairs(runs, sweep.config_keys, sweep.directory)
    seconds, looks = seconds_per_replicate(runs), looks_of(runs)
    groups = (
        replace(
            _group(
                str(name), rows, sweep.config_keys, [p for p in pairs if p.group == name], looks
            ),
            seconds_per_replicate=seconds,
        )
        for name, rows in runs.groupby("group", sort=False)
    )
    predicted = {
        (str(first["group"]), str(first["arm"])): (
            math.nan if first["varied"] else predicted_shift(first, is_mixed(first))
        )
        for first in runs.drop_duplicates(["group", "arm"]).to_dict("records")
    }
    return Comparison(tuple(groups), runs, predicted)


def _group(
    name: str,
    rows: pd.DataFrame,
    config_keys: Sequence[str],
    pairs: list[Pair],
    looks: Mapping[int, Look],
) -> Group:
    metric = test_metric(rows)
    names = list(rows["arm"].unique())
    wanted, varied = str(rows["reference"].iloc[0]), str(rows["varied"].iloc[0])
    names.sort(key=lambda arm: (arm == CONTROL, arm != wanted))
    # Without the configuration: some hundred columns, which every selection of rows would copy.
    compared = rows[list(dict.fromkeys((*COMPARED, metric)))]
    by_arm = {arm: compared[rows["arm"] == arm] for arm in names}
    grids = {arm: grid_of(runs, metric) for arm, runs in by_arm.items()}
    arms = [
        _arm(arm, (by_arm[arm], grids[arm]), (by_arm.get(wanted), grids.get(wanted)), metric)
        for arm in names
    ]
    described = []
    for arm in arms:
        first = rows[rows["arm"] == arm.name].iloc[0]
        config = acting_configuration(first, config_keys)
        plain = varied or arm.name in (wanted, CONTROL)
        why = () if plain else tuple(obstacles(config, is_mixed(first)))
        arm_pairs = tuple(pair for pair in pairs if pair.arm == arm.name)
        earlier = tuple(_grid_at_look(by_arm[arm.name], number, metric) for number in [*looks][:-1])
        if arm.edge and arm_pairs and all(pair.equal for pair in arm_pairs):
            # A few points are enough for a law, and too few to be tuned.
            arm = replace(arm, retuned=None, unretuned=None)
        described.append(replace(arm, pairs=arm_pairs, obstacles=why, earlier=earlier))
    base = described[0]
    scale = abs(base.test_mean) if base.name == wanted else math.nan
    known = rows["untrained_loss"].dropna()
    keys = run_keys(rows)
    return Group(
        name,
        tuple(described),
        metric,
        goal(rows, metric),
        margin=metric_margin(rows, metric, scale),
        test_samples=test_samples(rows),
        margin_loss=float(setting(rows, "report.margin_loss", ReportConfig().margin_loss)),
        decides_on=str(setting(rows, "report.decides_on", ReportConfig().decides_on)),
        untrained=float(known.median()) if len(known) else math.nan,
        max_steps=int(rows["max_steps"].max()),
        seeds=tuple(sorted({seed for _, seed in keys})),
        splits=tuple(sorted({split for split, _ in keys})),
        replicates=len(set(replicates(keys))),
        reference=wanted,
        varied=varied,
        rises=is_rising(rows, metric.removeprefix("test/")),
        looks=tuple(looks.values()),
    )


def _arm(
    name: str,
    arm_runs: tuple[pd.DataFrame, Grid],
    reference_runs: tuple[pd.DataFrame | None, Grid | None],
    metric: str,
) -> Arm:
    (own, grid), (reference, base) = arm_runs, reference_runs
    best = grid.best_rate
    rates, status = own["optimizer.lr"], own["status"]
    at_best = own[rates == best]
    arm = Arm(
        name=name,
        grid=grid,
        best_lr=best,
        edge=grid.edge,
        score=float(at_best["score"].mean()),
        test_mean=float(at_best[metric].mean()),
        test_spread=float(at_best[metric].std()),
        steps_to_target=float(at_best["convergence/steps_to_target"].median()),
        runs=len(own),
        diverged=int((status == "diverged").sum()),
        not_learned=int(own["not_learned"].sum()),
        failed=int((status == "failed").sum()),
        unfinished=int(status.isin(["running", "interrupted"]).sum()),
    )
    if reference is None or base is None or base is grid or base.best_rate is None:
        return arm
    reference_lr = base.best_rate
    reference_at_best = reference[reference["optimizer.lr"] == reference_lr]
    arm = replace(
        arm,
        unretuned=trimmed(paired_difference(reference_at_best, own[rates == reference_lr], metric)),
        prices=tuple(same_rates(reference, own, metric)),
        octaves=shift(reference, own),
    )
    if best is None:
        return arm
    retuned = paired_difference(_left_out(reference, base), _left_out(own, grid), metric)
    return replace(arm, shift=math.log2(best / reference_lr), retuned=trimmed(retuned))


def _grid_at_look(runs: pd.DataFrame, look: int, metric: str) -> Grid | None:
    """The grid of the runs that an arm had at a look; None without any."""
    those = runs[runs["look"] <= look]
    return None if those.empty else grid_of(those, metric)


def _left_out(runs: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """Each replicate's runs at the learning rate that the other ones choose."""
    chosen = dict(zip(grid.keys, leave_one_out(grid), strict=True))
    places = [chosen[key] for key in run_keys(runs)]
    rates = np.append(grid.rates, np.nan)  # the last one for NO_RATE
    return runs[runs["optimizer.lr"] == rates[places]]
