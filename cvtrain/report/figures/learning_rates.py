"""Results over the learning rate by arm: registered curves, curves with ranges, heat maps."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from cvtrain.analysis.answer import Answers
from cvtrain.analysis.arms import CONTROL
from cvtrain.analysis.best_lr import BoolArray
from cvtrain.analysis.comparison import Arm, Comparison, Group
from cvtrain.analysis.statistics import RealArray
from cvtrain.report.answers import factor_octaves
from cvtrain.report.cells import superscript
from cvtrain.report.figures.panels import Panels, name_ticks, rows_for
from cvtrain.report.figures.style import (
    BETTER_BRIGHTER,
    as_error,
    band,
    error_name,
    paper_style,
    style_of,
)
from cvtrain.report.figures.ticks import (
    common_limits,
    log_ticks,
    logarithmic,
    number_label,
    octave_axis,
)

MOST_LETTERS = 27
"""Largest number of characters in a row of cells of a heat map that fit beside each other."""
HALF_FAILED = "in the band: half of an arm's runs or more failed at this rate"
ONE_FAILED = "in the band: at this rate a run of the arm failed, so it has no mean"


@paper_style
def registered_curves(comparison: Comparison, answers: Answers) -> Panels | None:
    """Median validation loss over the learning rate, as measured (left) and over the learning rate
    divided by the factor of the arm's answer (right): one row of panels per group.

    If the factor is right, the curves on the right coincide. A band above marks rates at which half
    of the runs or more failed.

    Returns:
        None if no arm with several learning rates has an answer.
    """
    groups = [
        group
        for group in comparison.groups
        if any((group.name, arm.name) in answers for arm in group.arms)
        and any(len(arm.grid.octaves) > 1 for arm in group.arms)
    ]
    if not groups:
        return None
    figure = Panels(len(groups), 2)
    indices = arm_indices(comparison)
    for (measured, moved), group in zip(figure.grid, groups, strict=True):
        for arm in group.arms:
            index = indices.get(arm.name)
            _median_curve(figure, measured, arm, 0.0, index)
            answer = answers.get((group.name, arm.name))
            octaves = 0.0 if answer is None else factor_octaves(answer)
            if not math.isnan(octaves):
                _median_curve(figure, moved, arm, octaves, index)
        measured.set_title(f"{group.name}: as measured")
        moved.set_title(f"{group.name}: moved by each arm’s factor")
        measured.set_ylabel("validation loss")
        for axes, label in ((measured, "learning rate"), (moved, "learning rate / factor")):
            logarithmic(axes)
            octave_axis(axes, label)
        common_limits((measured, moved), "y")
    return figure.finish(HALF_FAILED)


def _median_curve(figure: Panels, axes: Axes, arm: Arm, octaves: float, index: int | None) -> None:
    rates = 2.0 ** (arm.grid.octaves - octaves)
    losses = arm.grid.median_loss
    axes.plot(rates, np.where(np.isinf(losses), np.nan, losses), label=arm.name, **style_of(index))
    figure.mark_failed(axes, rates[np.isinf(losses)], index)


@paper_style
def learning_rate_curves(comparison: Comparison) -> Panels:
    """Validation loss (left) and test metric (right) over the learning rate: one row of panels per
    group.

    Lines are means over seeds, shading is their range. A band above marks learning rates at which a
    run of the arm failed; the line has a gap there.
    """
    groups = comparison.groups
    figure = Panels(len(groups), 2)
    indices = arm_indices(comparison)
    for line, group in zip(figure.grid, groups, strict=True):
        rows = group_runs(comparison, group)
        for axes, column in zip(line, ("score", group.metric), strict=True):
            for arm in group.arms:
                values = rate_values(rows[rows["arm"] == arm.name], column)
                index = indices.get(arm.name)
                lr = values.index.to_numpy(dtype=float)
                lines = {str(name): values[name].to_numpy() for name in values}
                band(axes, lr, lines, index, arm.name)
                figure.mark_failed(axes, lr[values["mean"].isna()], index)
            octave_axis(axes, "learning rate")
            logarithmic(axes)
            axes.set_title(group.name)
        line[0].set_ylabel("validation loss")
        line[1].set_ylabel(error_name(group.metric))
    for panels in figure.grid.T:
        common_limits(panels, "y")
    return figure.finish(ONE_FAILED)


def group_runs(comparison: Comparison, group: Group) -> pd.DataFrame:
    """The runs of a group, with only the columns that `rate_values` needs."""
    needed = dict.fromkeys(("arm", "optimizer.lr", "score", group.metric))
    return comparison.runs.loc[comparison.runs["group"] == group.name, list(needed)]


def rate_values(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Mean, lowest and highest value over the runs at each learning rate.

    Args:
        rows: runs of one arm.
        column: column to use: the score, or a test metric, which `as_error` converts.

    Returns:
        columns `mean`, `low` and `high`, indexed by learning rate; NaN if a run failed.
    """
    by_rate = rows.assign(shown=as_error(rows[column], column)).groupby("optimizer.lr")
    values = pd.DataFrame(by_rate["shown"].agg(mean="mean", low="min", high="max"))
    failed = ~(by_rate["score"].max() < np.inf).to_numpy()
    if failed.any():
        values[failed] = np.nan
    return values


@paper_style
def heat_maps(comparison: Comparison) -> Panels:
    """Mean test metric of every arm at every learning rate as a heat map: one panel per group.

    An accuracy is shown as its error. Brighter is better, and panels of the same metric use the
    same colours. A cross marks a learning rate at which a run of the arm failed."""
    groups = comparison.groups
    columns = min(len(groups), 2)
    figure = Panels(rows_for(len(groups), columns), columns, names=True)
    tables = {group.name: _means(comparison, group) for group in groups}
    for axes, group in zip(figure.grid.ravel(), groups, strict=False):
        alike = [tables[one.name] for one in groups if one.metric == group.metric]
        shown = np.concatenate([table.to_numpy(dtype=float).ravel() for table in alike])
        _heat_map(figure, axes, group, tables[group.name], shown[np.isfinite(shown)])
    return figure.finish()


def _means(comparison: Comparison, group: Group) -> pd.DataFrame:
    rows = group_runs(comparison, group)
    means = {
        arm.name: rate_values(rows[rows["arm"] == arm.name], group.metric)["mean"]
        for arm in group.arms
    }
    return pd.DataFrame(means).T.sort_index(axis="columns")


def _heat_map(
    figure: Panels, axes: Axes, group: Group, means: pd.DataFrame, values: np.ndarray
) -> None:
    shown = means.to_numpy(dtype=float)
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    norm = LogNorm(low, high) if 0 < low < high else Normalize(low, max(high, low + 1e-9))
    image = axes.imshow(shown, aspect="auto", cmap=BETTER_BRIGHTER, norm=norm)
    tried = {arm.name: set(arm.grid.rates.tolist()) for arm in group.arms}
    longest = max((len(_three_digits(value)) for value in values), default=0)
    numbers = longest * shown.shape[1] <= MOST_LETTERS
    for (row, column), value in np.ndenumerate(shown):
        if np.isnan(value):
            if float(str(means.columns[column])) not in tried[str(means.index[row])]:
                continue
            text, colour = "×", "black"
        else:
            text = _three_digits(value) if numbers else ""
            colour = "white" if norm(value) > 0.55 else "black"
        axes.text(column, row, text, ha="center", va="center", color=colour)
    octaves = np.log2(means.columns.to_numpy(dtype=float))
    every = -(-len(octaves) // 7)
    labels = [f"2{superscript(round(octave, 2))}" for octave in octaves]
    axes.set_xticks(range(0, len(octaves), every), labels[::every])
    axes.set_xlabel("learning rate")
    axes.grid(visible=False)
    name_ticks(axes, list(map(str, means.index)))
    axes.set_title(f"{group.name}: {error_name(group.metric)}")
    if not len(values):
        return
    bar = axes.inset_axes((-0.75, -0.15, 0.62, 0.05))
    figure.colorbar(image, cax=bar, orientation="horizontal")
    ticks = (log_ticks(low, high) if isinstance(norm, LogNorm) else [low, high])[::2]
    bar.xaxis.set_major_locator(FixedLocator(ticks))
    bar.xaxis.set_major_formatter(FixedFormatter([number_label(tick) for tick in ticks]))
    bar.xaxis.set_minor_locator(NullLocator())
    bar.set_title("bright: better", fontsize=8, pad=1)


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if abs(value) >= 1 else f"{value:.2g}"


def arm_indices(comparison: Comparison) -> dict[str, int]:
    """An index into the line styles for every arm, so that a colour means the same arm in all
    figures."""
    names = (arm.name for group in comparison.groups for arm in group.arms if arm.name != CONTROL)
    return {name: index for index, name in enumerate(dict.fromkeys(names))}


def distances(group: Group, answers: Answers) -> Iterator[tuple[str, float, float]]:
    """Distance of each arm's median validation loss from the reference's at equal learning rates,
    as measured and moved by the factor of its answer.

    Yields:
        the arm and two distances, each a median over learning rates of the ratio of losses minus 1;
        NaN if the curves have no learning rate in common.
    """
    base = group.base
    if base is None:
        return
    for arm in group.arms:
        answer = answers.get((group.name, arm.name))
        if answer is not None:
            yield arm.name, _distance(base, arm, 0.0), _distance(base, arm, factor_octaves(answer))


def _distance(base: Arm, arm: Arm, octaves: float) -> float:
    own, losses = arm.grid.octaves - octaves, arm.grid.median_loss
    known, usable = (_has_ratio(grid.median_loss) for grid in (arm.grid, base.grid))
    if math.isnan(octaves) or not known.any():
        return math.nan
    wanted, reference = base.grid.octaves[usable], base.grid.median_loss[usable]
    within = (wanted >= own[known].min() - 1e-6) & (wanted <= own[known].max() + 1e-6)
    if not within.any():
        return math.nan
    moved = np.exp(np.interp(wanted[within], own[known], np.log(losses[known])))
    return float(np.median(np.exp(np.abs(np.log(moved / reference[within]))) - 1))


def _has_ratio(losses: RealArray) -> BoolArray:
    """Mask of losses that can be divided by: a perfect fit has 0, and a user's loss may be
    negative."""
    return np.isfinite(losses) & (losses > 0)
