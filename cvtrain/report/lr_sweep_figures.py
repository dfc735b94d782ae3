"""The figures of a sweep over learning rates, each with its main observation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from cvtrain.analysis.answer import Answers, signed_text
from cvtrain.analysis.arms import CONTROL
from cvtrain.analysis.comparison import Comparison, Group
from cvtrain.analysis.load import Sweep
from cvtrain.analysis.metric import ACCURACY
from cvtrain.report.cells import rate_text
from cvtrain.report.document import Picture
from cvtrain.report.figures import differences, learning_rates, training
from cvtrain.report.figures.style import as_error, error_name
from cvtrain.report.figures.training import SECTORS, Traces

SEEN = "Lines are means over seeds, shaded from the lowest to the highest seed"


def cover(comparison: Comparison, answers: Answers) -> Picture | None:
    """The curves as measured and moved onto each other; None if nothing is to be moved."""
    figure = learning_rates.registered_curves(comparison, answers)
    if figure is None:
        return None
    return Picture(
        "registered",
        "Validation loss over the learning rate: as measured, and moved by each arm’s factor",
        figure,
        _caption(
            comparison,
            "Lines are medians over seeds",
            lambda group: _registered(group, answers),
        ),
    )


def pictures(sweep: Sweep, comparison: Comparison) -> Iterator[Picture]:
    """All other figures for which there is data."""
    if not comparison.groups:
        return
    if comparison.runs["optimizer.lr"].nunique() > 1:
        yield Picture(
            "learning_rates",
            "Validation loss and test metric over the learning rate",
            learning_rates.learning_rate_curves(comparison),
            _caption(comparison, SEEN, lambda group: _lowest(comparison, group)),
        )
        yield Picture(
            "heat_maps",
            "Mean test metric of every arm at every learning rate",
            learning_rates.heat_maps(comparison),
            _caption(
                comparison,
                "A brighter cell is better; ×: a run of the arm failed there",
                lambda group: _range_of_cells(comparison, group),
            ),
        )
        moved = differences.shifts(comparison)
        if moved is not None:
            yield Picture(
                "shifts",
                "How far learning rates move from the reference’s",
                moved,
                _caption(
                    comparison,
                    "Points are trimmed means over seeds, bars 95 % intervals; the vertical line is"
                    " what the law predicts",
                    lambda group: _largest_shift(comparison, group),
                ),
            )
        priced = differences.prices(comparison)
        if priced is not None:
            yield Picture(
                "prices",
                "The price of not retuning, over the learning rate",
                priced,
                _caption(
                    comparison,
                    "Arm − reference at the same learning rate, paired by seed; higher is worse;"
                    " bars are 95 % intervals",
                    _worst,
                ),
            )
    course = training.convergence(sweep, comparison)
    if course is not None:
        yield Picture(
            "convergence",
            "Validation loss over steps",
            course,
            _caption(
                comparison,
                "Lines are medians over seeds, shaded from the lower to the upper quartile; a line"
                " ends where half of the runs have diverged",
                lambda group: _ends(comparison, group),
            ),
        )
    traces = training.read_traces(sweep, comparison)
    drawn = training.paths(traces, comparison), training.phases(traces, comparison)
    if drawn[0] is not None:
        yield Picture(
            "paths",
            "One entry of a weight and of its gradient in the complex plane",
            drawn[0],
            "One seed per arm, all at the reference’s best learning rate; × is the start, the mark"
            f" of the arm the end. {' '.join(map(_way, traces))}",
        )
    if drawn[1] is not None:
        yield Picture(
            "phases",
            "Where the traced entries of w.grad point",
            drawn[1],
            "All seeds and logged steps at the reference’s best learning rate."
            f" {' '.join(map(_directions, traces))}",
        )


def _caption(comparison: Comparison, meaning: str, seen: Callable[[Group], str]) -> str:
    texts = [(group.name, seen(group)) for group in comparison.groups]
    return " ".join([f"{meaning}.", *(f"{name}: {text}." for name, text in texts if text)])


def _registered(group: Group, answers: Answers) -> str:
    distances = list(learning_rates.distances(group, answers))
    before = [one[1] for one in distances if math.isfinite(one[1])]
    after = [one[2] for one in distances if math.isfinite(one[2])]
    if not before:
        return ""
    text = f"the arms lie up to {100 * max(before):.0f} % from {group.reference} as measured"
    if not after:
        return f"{text}; no factor is known"
    return f"{text}, and up to {100 * max(after):.0f} % moved (medians over learning rates)"


def _lowest(comparison: Comparison, group: Group) -> str:
    cells = list(_cells(comparison, group))
    if not cells:
        return "no learning rate has a mean, since runs failed at all of them"
    value, arm, lr = min(cells)
    text = f"the lowest mean {_quantity(group, value)} is that of {arm} at {rate_text(lr)}"
    runs = comparison.runs[comparison.runs["group"] == group.name]
    lost = runs[~np.isfinite(runs["score"])]
    if len(lost):
        first = rate_text(float(lost["optimizer.lr"].min()))
        text += f"; {len(lost)} of {len(runs)} runs failed, at {first} and above"
    return text


def _range_of_cells(comparison: Comparison, group: Group) -> str:
    cells = list(_cells(comparison, group))
    if not cells:
        return ""
    ends = (
        f"{_quantity(group, value)} ({arm}, {rate_text(lr)})"
        for value, arm, lr in (min(cells), max(cells))
    )
    return f"from {' to '.join(ends)}"


def _cells(comparison: Comparison, group: Group) -> Iterator[tuple[float, str, float]]:
    """The mean metric, as figures show it, of every arm and learning rate that has one."""
    rows = learning_rates.group_runs(comparison, group)
    for arm in group.arms:
        means = learning_rates.rate_values(rows[rows["arm"] == arm.name], group.metric)["mean"]
        yield from ((float(v), arm.name, float(str(lr))) for lr, v in means.dropna().items())


def _quantity(group: Group, value: float) -> str:
    name = error_name(group.metric)
    unit = " %" if name.endswith(", %") else ""
    return f"{name.removesuffix(', %')} {value:.3g}{unit}"


def _largest_shift(comparison: Comparison, group: Group) -> str:
    shifts = [
        (arm.name, arm.octaves.best.mean, arm.octaves.best)
        for arm in differences.compared(group)
        if arm.octaves is not None and arm.octaves.best.seeds and arm.name != CONTROL
    ]
    if not shifts:
        return ""
    name, octaves, _ = max(shifts, key=lambda one: abs(one[1]))
    text = f"the best rate moves most for {name}, {signed_text(octaves)} octaves"
    predicted = [
        (comparison.predicted_shifts.get((group.name, name), math.nan), best)
        for name, _, best in shifts
    ]
    tested = [
        best.low <= law <= best.high for law, best in predicted if not math.isnan(law + best.low)
    ]
    return f"{text}; {sum(tested)} of {len(tested)} intervals hold the law’s" if tested else text


def _worst(group: Group) -> str:
    if not differences.compared(group):
        return ""
    worst = differences.worst_price(group)
    if worst is None:
        return "no arm is worse than the reference at any learning rate that both have"
    arm, price = worst
    value = as_error(price.difference.mean, "") * (-1 if group.rising else 1)
    unit = " points of test error" if group.metric == ACCURACY else f" {group.metric}"
    value *= 100 if group.metric == ACCURACY else 1
    text = (
        f"most is lost by {arm.name} at {rate_text(price.lr)}, {signed_text(value, '+.2g')}{unit}"
    )
    if math.isinf(price.steps) and math.isfinite(price.reference_steps):
        text += ", where the goal is never reached"
    return text


def _ends(comparison: Comparison, group: Group) -> str:
    base = group.base
    if base is None or base.best_lr is None:
        return ""
    losses = {}
    for arm in group.arms:
        rows = training.cell_runs(comparison, group, arm.name, base.best_lr)
        if arm.name != CONTROL and len(rows):
            losses[arm.name] = float(rows["score"].median())
    low, high = min(losses, key=losses.__getitem__), max(losses, key=losses.__getitem__)
    if low == high:
        return f"ends at {_loss(losses[low])}"
    return (
        f"at the reference’s rate they end between {_loss(losses[low])} ({low}) and"
        f" {_loss(losses[high])} ({high})"
    )


def _loss(value: float) -> str:
    return "divergence" if math.isinf(value) else f"{value:.3g}"


def _way(traces: Traces) -> str:
    ways = {}
    for arm in traces.tables:
        points = traces.path(arm, "weight")
        if len(points):
            ways[arm] = float(abs(points[-1] - points[0]))
    if not ways:
        return ""
    near, far = min(ways, key=ways.__getitem__), max(ways, key=ways.__getitem__)
    return (
        f"{traces.group}: {traces.weight} ends {ways[near]:.2g} ({near}) to {ways[far]:.2g}"
        f" ({far}) from its start."
    )


def _directions(traces: Traces) -> str:
    fullest = {arm: 100 * float(traces.shares(arm).max()) for arm in traces.tables}
    arm = max(fullest, key=fullest.__getitem__)
    return (
        f"{traces.group}: no sector of 15° holds more than {fullest[arm]:.1f} % ({arm});"
        f" uniform directions have {100 / SECTORS:.1f} % in each."
    )
