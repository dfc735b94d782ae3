"""The tables of a sweep over learning rates: arms, differences, shifts in octaves, prices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from cvtrain.analysis.answer import Answer, Answers
from cvtrain.analysis.arms import CONTROL
from cvtrain.analysis.comparison import Arm, Group
from cvtrain.analysis.difference import Difference
from cvtrain.analysis.metric import ACCURACY
from cvtrain.analysis.price import regret
from cvtrain.report.cells import (
    Column,
    Record,
    difference_fields,
    interval_text,
    learning_rate,
    number,
    p_value,
    steps_text,
    words,
)
from cvtrain.report.document import Table
from cvtrain.report.narrative import difference_text, metric_text, octaves_text

LANDMARKS = {
    "best": "best lr",
    "cliff": "cliff",
    "window": "window",
    "width": "width of the window",
}
"""Attributes of `lr_shift.Shift` and the headings of their columns."""


def arm_table(group: Group, slug: str) -> Table:
    """One row per arm: its best learning rate and the result there."""
    records = tuple(map(_arm_record, group.arms))

    def runs(record: Record) -> str:
        counts = [f"{record[kind]} {kind}" for kind in ("failed", "unfinished") if record[kind]]
        return f"{record['runs']}" + (f" ({', '.join(counts)})" if counts else "")

    columns = (
        words("arm", "arm"),
        learning_rate("best lr", "best_lr", "edge"),
        number("val loss", "val_loss"),
        Column(
            f"test {group.metric.removeprefix('test/')}",
            lambda r: metric_text(r["test_mean"], group.metric, r["test_spread"]),
        ),
        Column(f"steps to {group.goal}", lambda r: steps_text(r["steps_to_target"])),
        Column("runs", runs),
        number("diverged", "diverged", "d"),
        number("not learned", "not_learned", "d"),
    )
    edge = "; *: the smallest or largest learning rate tried, the best may lie beyond"
    caption = f"{_seeds(group)}{edge if any(arm.edge for arm in group.arms) else ''}"
    caption += "; test: of the weights after the last update"
    return Table(f"{slug}_arms", group.name, columns, records, caption)


def _arm_record(arm: Arm) -> Record:
    return {
        "arm": arm.name,
        "best_lr": arm.best_lr,
        "edge": arm.edge,
        "val_loss": arm.score,
        "test_mean": arm.test_mean,
        "test_spread": arm.test_spread,
        "steps_to_target": arm.steps_to_target,
        "runs": arm.runs,
        "diverged": arm.diverged,
        "not_learned": arm.not_learned,
        "failed": arm.failed,
        "unfinished": arm.unfinished,
    }


def difference_table(group: Group, arms: list[Arm], answers: Answers, slug: str) -> Table:
    """One row per arm: the answer, the pairs of the law, and differences from the reference."""
    records = []
    retuned = {arm.name: _retuned(arm, answers.get((group.name, arm.name))) for arm in arms}
    unretuned = {arm.name: arm.unretuned for arm in arms}
    for arm in arms:
        answer = answers.get((group.name, arm.name))
        exact = [pair for pair in arm.pairs if pair.exact]
        records.append(
            {
                "arm": arm.name,
                "answer": answer.kind if answer else CONTROL,
                "law_pairs": len(exact),
                "equal_pairs": sum(pair.equal for pair in exact),
                "numbers_compared": sum(pair.numbers for pair in exact),
                "octaves_of_law": exact[0].octaves if exact else math.nan,
                **_flat("retuned", retuned[arm.name]),
                **_flat("unretuned", arm.unretuned),
                "equivalence_p": answer.equivalence_p if answer else math.nan,
                "difference_p": answer.difference_p if answer else math.nan,
                "margin": group.margin,
                "obstacles": "; ".join(arm.obstacles),
            }
        )

    def difference(heading: str, of_arms: Mapping[str, Difference | None]) -> Column:
        return Column(heading, lambda r: difference_text(of_arms[r["arm"]], group.metric))

    columns = (
        words("arm", "arm"),
        words("answer", "answer"),
        Column("law’s pairs", _pairs_text),
        difference("retuned", retuned),
        difference("not retuned", unretuned),
        p_value("p equal", "equivalence_p"),
        p_value("p differ", "difference_p"),
    )
    unit = "percentage points" if group.metric == ACCURACY else group.metric.replace("/", " ")
    margin = 100 * group.margin if group.metric == ACCURACY else group.margin
    law = (
        "law’s pairs: runs that a law makes equal to one of any other arm, and that are, bit for"
        " bit; else "
    )
    caption = (
        f"{law if any(record['law_pairs'] for record in records) else ''}{unit}, arm −"
        " reference (retuned: mean of reference and control, where there is one), paired by seed,"
        " trimmed means, 95 % intervals; p equal: two one-sided tests, within"
        f" ±{margin:.3g}; p differ: from the reference and from the control; both adjusted for all"
        " arms (Holm)"
    )
    title = f"{group.name}: against {group.reference}"
    name = f"{slug}_differences"
    return Table(name, title, columns, tuple(records), caption, numbered=True)


def octave_table(arms: list[Arm], slug: str) -> Table:
    """One row per arm: shifts of landmarks on the axis of learning rates."""
    shifts = {arm.name: arm.octaves for arm in arms}
    records = [
        {
            "arm": name,
            **{
                f"{kind}_{field}": value
                for kind in LANDMARKS
                for field, value in asdict(getattr(shift, kind)).items()
            },
        }
        for name, shift in shifts.items()
    ]

    def column(kind: str, heading: str) -> Column:
        return Column(heading, lambda r: octaves_text(getattr(shifts[r["arm"]], kind)))

    columns = (words("arm", "arm"), *(column(kind, head) for kind, head in LANDMARKS.items()))
    meanings = {
        "cliff": "cliff: where runs begin to diverge or not to learn",
        "window": "window: validation loss within 25 % of the seed's best",
    }
    shown = [kind for kind in meanings if any(record[f"{kind}_seeds"] for record in records)]
    caption = "; ".join(
        (
            "octaves, arm − reference, trimmed means over seeds, 95 % intervals (one number where"
            " all seeds agree)",
            *(meanings[kind] for kind in shown),
            "empty: beyond the rates tried",
        )
    )
    title = "shifts of learning rates"
    return Table(f"{slug}_octaves", title, columns, tuple(records), caption, numbered=True)


def price_table(group: Group, arms: list[Arm], slug: str) -> Table:
    """One row per arm and learning rate: the cost of training the arm at that rate instead of its
    best one."""
    prices = {(arm.name, price.lr): price for arm in arms for price in arm.prices}
    records = [
        {
            "arm": name,
            "lr": lr,
            **difference_fields(price.difference),
            "identical": price.difference.identical,
            "steps": price.steps,
            "reference_steps": price.reference_steps,
        }
        for (name, lr), price in prices.items()
    ]

    def difference(record: Record) -> str:
        return difference_text(prices[record["arm"], record["lr"]].difference, group.metric)

    columns = (
        words("arm", "arm"),
        learning_rate("lr", "lr"),
        Column("difference", difference),
        Column("steps to target", lambda r: steps_text(r["steps"])),
        Column("reference's steps", lambda r: steps_text(r["reference_steps"])),
    )
    title = f"{group.name}: the price of not retuning, at every learning rate"
    caption = f"target: {group.goal}; medians over seeds; differences of {group.metric}"
    name = f"{slug}_prices"
    return Table(name, title, columns, tuple(records), caption, numbered=True, detail=True)


def regret_table(group: Group, slug: str) -> Table | None:
    """The cost of a wrong learning rate for the reference, at a quarter to four times its best one;
    None if none of these rates was tried."""
    base = group.base
    prices = () if base is None or base.grid.best is None else regret(base.grid, group.rising)
    if base is None or base.best_lr is None or not prices:
        return None
    records = [
        {
            "factor": 2.0**price.octave / base.best_lr,
            "loss": 100 * math.expm1(price.loss.mean),
            "loss_low": 100 * math.expm1(price.loss.low),
            "loss_high": 100 * math.expm1(price.loss.high),
            "difference": price.difference.mean,
            "low": price.difference.low,
            "high": price.difference.high,
            "steps": price.steps,
            "best_steps": price.best_steps,
            "failures": price.failures.other,
            "pairs": price.failures.pairs,
        }
        for price in prices
    ]
    scale = 100 if group.metric == ACCURACY else 1
    unit = ", points" if group.metric == ACCURACY else ""
    form = "+.2f" if group.metric == ACCURACY else "+.2g"

    def ends(record: Record, keys: tuple[str, str, str], scale: float, form: str) -> str:
        mean, low, high = (scale * record[key] for key in keys)
        return interval_text(mean, low, high, form) if math.isfinite(mean) else "many runs fail"

    columns = (
        Column("learning rate", lambda r: f"× {r['factor']:.3g}"),
        Column("loss, %", lambda r: ends(r, ("loss", "loss_low", "loss_high"), 1, "+.1f")),
        Column(
            f"{group.metric.replace('/', ' ')}{unit}",
            lambda r: ends(r, ("difference", "low", "high"), scale, form),
        ),
        Column(f"steps to {group.goal}", lambda r: steps_text(r["steps"])),
        Column("at the best", lambda r: steps_text(r["best_steps"])),
        Column("runs that fail", lambda r: f"{r['failures']} of {r['pairs']}"),
    )
    title = f"{group.name}: what a wrong learning rate costs {group.reference}"
    caption = "against its best learning rate, paired, with 95 % intervals; test split"
    return Table(f"{slug}_regret", title, columns, tuple(records), caption, detail=True)


def _retuned(arm: Arm, answer: Answer | None) -> Difference | None:
    """The difference that the answer refers to; without an answer, the difference from the
    reference."""
    if arm.retuned is None or arm.retuned.identical or answer is None or answer.optimum is None:
        return arm.retuned
    judged = answer.optimum.difference
    if not math.isfinite(judged.mean):  # only failures can be compared
        return arm.retuned
    return replace(arm.retuned, mean=judged.mean, low=judged.low, high=judged.high)


def _flat(kind: str, difference: Difference | None) -> dict[str, Any]:
    fields = ("mean", "low", "high", "pairs", "identical")
    return {f"{kind}_{f}": getattr(difference, f) if difference else math.nan for f in fields}


def _seeds(group: Group) -> str:
    several = f"{group.replicates} {group.unit}{'s' if group.replicates != 1 else ''}"
    return (
        f"learning rates chosen on {several}; differences: each {group.unit} at the rate the others"
        " choose"
    )


def _pairs_text(record: Record) -> str:
    if not record["law_pairs"]:
        return ""
    return f"{record['equal_pairs']} of {record['law_pairs']}"
