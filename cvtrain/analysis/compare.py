"""Compare the arms of a sweep: the best learning rate of each, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from cvtrain.analysis.arms import CONTROL, label_runs
from cvtrain.analysis.best_lr import with_scores
from cvtrain.analysis.comparison import Arm, Comparison, Group
from cvtrain.analysis.difference import paired_difference, same_rates, trimmed
from cvtrain.analysis.exact_pairs import (
    Pair,
    acting_configuration,
    exact_pairs,
    is_mixed,
    obstacles,
    predicted_shift,
)
from cvtrain.analysis.grid import Grid, grid_of
from cvtrain.analysis.load import Sweep
from cvtrain.analysis.looks import Look, looks_of
from cvtrain.analysis.lr_shift import shift
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
from cvtrain.config.sections import ReportConfig

COMPARED = (
    *(*PAIRED_BY, "optimizer.lr", "status", "score", "choice", "untrained_loss", "not_learned"),
    *("test/loss", "convergence/steps_to_target", "look"),
)
"""Columns of runs, beside the test metric, that the comparison of arms reads."""


def compare(sweep: Sweep) -> Comparison:
    """Compare the arms of a sweep, in which runs are paired by split and seed.

    Learning rates are chosen on the validation split, arms are compared on the test split.
    """
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
    # Without the configuration: every selection of rows would copy its some hundred columns.
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
            # A law needs few learning rates, too few to choose the best one among them.
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
    """The grid of the runs that an arm had at a look; None if it had none."""
    earlier = runs[runs["look"] <= look]
    return None if earlier.empty else grid_of(earlier, metric)


def _left_out(runs: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """Each replicate's runs at the learning rate that the other replicates choose."""
    chosen = dict(zip(grid.keys, leave_one_out(grid), strict=True))
    columns = [chosen[key] for key in run_keys(runs)]
    rates = np.append(grid.rates, np.nan)  # index NO_RATE (−1) selects the NaN
    return runs[runs["optimizer.lr"] == rates[columns]]
