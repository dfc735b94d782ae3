"""The tables of a sweep over learning rates: arms, differences, shifts in octaves, prices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cvtrain.analysis.arms import REFERENCE
from cvtrain.analysis.scores import ACCURACY, Arm, Group
from cvtrain.analysis.verdict import Answer
from cvtrain.report.document import Column, Record, Table
from cvtrain.report.narrative import bare_interval, octaves_text, rate_text

Answers = Mapping[tuple[str, str], Answer]


def arm_table(group: Group, slug: str) -> Table:
    """One row per arm: its best learning rate and what comes out there."""
    percent = group.metric == ACCURACY
    metric = group.metric.removeprefix("test/")

    def tested(record: Record) -> str:
        if record["best_lr"] is None:
            return ""
        factor, digits, unit = (100, ".2f", " %") if percent else (1, ".4g", "")
        spread = record["test_spread"]
        told = "" if math.isnan(spread) else f" ± {factor * spread:{digits}}"
        return f"{factor * record['test_mean']:{digits}}{told}{unit}"

    def runs(record: Record) -> str:
        told = [f"{record[kind]} {kind}" for kind in ("failed", "unfinished") if record[kind]]
        return f"{record['runs']}" + (f" ({', '.join(told)})" if told else "")

    columns = (
        Column("arm", lambda r: r["arm"], left=True),
        Column("best lr", lambda r: _rate(r["best_lr"], r["edge"])),
        Column("val loss", lambda r: "" if r["best_lr"] is None else f"{r['val_loss']:.4g}"),
        Column(f"test {metric}", tested),
        Column(f"steps to {group.goal}", lambda r: _steps(r["best_lr"], r["steps_to_target"])),
        Column("runs", runs),
        Column("diverged", lambda r: str(r["diverged"])),
        Column("not learned", lambda r: str(r["not_learned"])),
    )
    seeds = _seeds(group)
    edge = "; *: the smallest or largest learning rate tried, the best may lie beyond"
    caption = f"{seeds}{edge if any(arm.edge for arm in group.arms) else ''}"
    return Table(f"{slug}_arms", group.name, columns, tuple(map(_arm_record, group.arms)), caption)


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
    """One row per arm: the answer, pairs of the law, differences from the reference."""
    records = []
    for arm in arms:
        answer = answers.get((group.name, arm.name))
        exact = [pair for pair in arm.pairs if pair.exact]
        records.append(
            {
                "arm": arm.name,
                "answer": answer.kind if answer else "chaos alone",
                "law_pairs": len(exact),
                "equal_pairs": sum(pair.equal for pair in exact),
                "numbers_compared": sum(pair.numbers for pair in exact),
                "octaves_of_law": exact[0].octaves if exact else math.nan,
                **_flat("retuned", arm),
                **_flat("unretuned", arm),
                "equivalence_p": answer.equivalence_p if answer else math.nan,
                "difference_p": answer.difference_p if answer else math.nan,
                "margin": group.margin,
                "obstacles": "; ".join(arm.obstacles),
            }
        )
    by_name = {arm.name: arm for arm in arms}

    def shown(record: Record, kind: str) -> str:
        difference = getattr(by_name[record["arm"]], kind)
        if difference is None or not difference.pairs:
            return ""
        return "identical" if difference.identical else bare_interval(difference, group.metric)

    columns = (
        Column("arm", lambda r: r["arm"], left=True),
        Column("answer", lambda r: r["answer"], left=True),
        Column("law’s pairs", _pairs_text),
        Column("retuned", lambda r: shown(r, "retuned")),
        Column("not retuned", lambda r: shown(r, "unretuned")),
        Column("p equal", lambda r: _p(r["equivalence_p"])),
        Column("p differ", lambda r: _p(r["difference_p"])),
    )
    unit = "percentage points" if group.metric == ACCURACY else group.metric.replace("/", " ")
    margin = 100 * group.margin if group.metric == ACCURACY else group.margin
    caption = (
        f"law’s pairs: runs that a law makes equal, and that are, bit for bit; else {unit}, arm −"
        " reference, paired by seed, 95 % intervals (Student); p equal: two one-sided tests, within"
        f" ±{margin:.3g}; p differ: adjusted for all arms of the sweep"
    )
    title = f"{group.name}: against {REFERENCE}"
    name = f"{slug}_differences"
    return Table(name, title, columns, tuple(records), caption, numbered=True)


def octave_table(arms: list[Arm], slug: str) -> Table:
    """One row per arm: shifts of landmarks on the axis of learning rates."""
    kinds = ("best", "cliff", "window", "width")
    records = []
    for arm in arms:
        assert arm.octaves is not None  # as for all arms that have prices
        record: dict[str, Any] = {"arm": arm.name}
        for kind in kinds:
            found = asdict(getattr(arm.octaves, kind))
            record |= {f"{kind}_{name}": value for name, value in found.items()}
        records.append(record)
    by_name = {arm.name: arm.octaves for arm in arms}
    headings = ("best lr", "cliff", "window", "width of the window")

    def column(kind: str, heading: str) -> Column:
        return Column(heading, lambda r: octaves_text(getattr(by_name[r["arm"]], kind)))

    columns = (
        Column("arm", lambda r: r["arm"], left=True),
        *(column(kind, heading) for kind, heading in zip(kinds, headings, strict=True)),
    )
    caption = (
        "octaves, arm − reference, means over seeds with 95 % bootstrap intervals (one number where"
        " all seeds agree); cliff: where runs begin to diverge or not to learn; window: validation"
        " loss within 25 % of the seed's best; empty: beyond the rates tried"
    )
    title = "shifts of learning rates"
    return Table(f"{slug}_octaves", title, columns, tuple(records), caption, numbered=True)


def price_table(group: Group, arms: list[Arm], slug: str) -> Table:
    """One row per arm and learning rate: what the arm costs if left there."""
    records = [
        {
            "arm": arm.name,
            "lr": price.lr,
            "difference": price.difference.mean,
            "low": price.difference.low,
            "high": price.difference.high,
            "pairs": price.difference.pairs,
            "identical": price.difference.identical,
            "steps": price.steps,
            "reference_steps": price.reference_steps,
        }
        for arm in arms
        for price in arm.prices
    ]
    shown = {(arm.name, p.lr): p.difference for arm in arms for p in arm.prices}

    def difference(record: Record) -> str:
        found = shown[record["arm"], record["lr"]]
        return "identical" if found.identical else bare_interval(found, group.metric)

    columns = (
        Column("arm", lambda r: r["arm"], left=True),
        Column("lr", lambda r: rate_text(r["lr"])),
        Column("difference", difference),
        Column("steps to target", lambda r: _steps(r["lr"], r["steps"])),
        Column("reference's steps", lambda r: _steps(r["lr"], r["reference_steps"])),
    )
    title = f"{group.name}: the price of not retuning, at every learning rate"
    caption = f"target: {group.goal}; medians over seeds; differences of {group.metric}"
    name = f"{slug}_prices"
    return Table(name, title, columns, tuple(records), caption, numbered=True, detail=True)


def _flat(kind: str, arm: Arm) -> dict[str, Any]:
    found = getattr(arm, kind)
    names = ("mean", "low", "high", "pairs", "identical")
    return {f"{kind}_{name}": getattr(found, name) if found else math.nan for name in names}


def _seeds(group: Group) -> str:
    if group.held_out:
        told = f"learning rates chosen on {len(group.tuning)} seeds"
        return f"{told}, all else measured on {len(group.held_out)} others"
    return f"learning rates chosen, and all measured, on the same {len(group.tuning)} seeds"


def _pairs_text(record: Record) -> str:
    if not record["law_pairs"]:
        return ""
    return f"{record['equal_pairs']} of {record['law_pairs']}"


def _rate(lr: float | None, edge: bool) -> str:
    return "none" if lr is None else f"{rate_text(lr)}{'*' if edge else ''}"


def _steps(lr: float | None, steps: float) -> str:
    if lr is None or math.isnan(steps):
        return ""
    return "never" if math.isinf(steps) else f"{steps:g}"


def _p(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2g}"
