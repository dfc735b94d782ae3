"""The report of a sweep over learning rates: the verdict, and the numbers behind it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from matplotlib.figure import Figure

from cvtrain.analysis.arms import REFERENCE
from cvtrain.analysis.load import Sweep
from cvtrain.analysis.scores import Comparison, Group, compare
from cvtrain.analysis.verdict import decide
from cvtrain.report.document import Document, Picture, Section
from cvtrain.report.figures import differences, learning_rates, training
from cvtrain.report.lr_sweep_tables import (
    Answers,
    arm_table,
    difference_table,
    octave_table,
    price_table,
)
from cvtrain.report.narrative import describe_group, headline
from cvtrain.report.references import reference_section
from cvtrain.runs.safe_names import shortened


def report_retuning(sweep: Sweep) -> Document:
    """Report the outcome of every arm of a sweep, per optimizer."""
    comparison = compare(sweep)
    answers = decide(comparison.groups)
    slugs = table_names([group.name for group in comparison.groups])
    sections = [
        _group_section(group, answers, slug)
        for group, slug in zip(comparison.groups, slugs, strict=True)
    ]
    bounds = reference_section(sweep)
    if bounds is not None:
        sections.append(bounds)
    pictures = tuple(_pictures(sweep, comparison))
    if pictures:
        sections.append(Section("Figures", pictures=pictures))
    return Document(
        title="What the factor 2 changed",
        verdict=tuple(headline(group, answers) for group in comparison.groups),
        sections=tuple(sections),
        broken=tuple(
            f"{answer.group}, {answer.arm}: {answer.outcome}"
            for answer in answers.values()
            if answer.kind == "law broken"
        ),
        facts={"verdict": [_facts(g, answers) for g in comparison.groups]},
    )


def table_names(groups: Sequence[str]) -> list[str]:
    """A distinct file name for each group, which every file system accepts however long the group's
    own name is."""
    names: dict[str, None] = {}
    for group in groups:
        slug = shortened(re.sub(r"[^a-z0-9]+", "_", group.lower()).strip("_"))
        numbered = (f"{slug}_{number}" for number in itertools.count(2))
        names[next(name for name in itertools.chain([slug], numbered) if name not in names)] = None
    return list(names)


def _group_section(group: Group, answers: Answers, slug: str) -> Section:
    tables = [arm_table(group, slug)]
    others = [arm for arm in group.arms if arm.prices]
    rows: dict[str, tuple[str, ...]] = {}
    if others:
        differed = difference_table(group, others, answers, slug)
        moved = octave_table(others, slug)
        priced = price_table(group, others, slug)
        tables += [differed, moved, priced]
        reference = group.arm(REFERENCE)
        common = reference.best_lr if reference else None
        for index, arm in enumerate(others):
            rows[arm.name] = (
                differed.row_name(index),
                moved.row_name(index),
                *(
                    priced.row_name(row)
                    for row, record in enumerate(priced.records)
                    if (record["arm"], record["lr"]) == (arm.name, common)
                ),
            )
    return Section(group.name, tuple(describe_group(group, answers, rows)), tuple(tables))


def _pictures(sweep: Sweep, comparison: Comparison) -> Iterator[Picture]:
    if not comparison.groups:
        return
    compared = any(arm.prices for group in comparison.groups for arm in group.arms)
    figures: list[tuple[str, str, Figure | None]] = []
    if comparison.runs["optimizer.lr"].nunique() > 1:
        figures += [
            (
                "learning_rates",
                "Validation loss and test metric over the learning rate",
                learning_rates.learning_rate_curves(comparison),
            ),
            (
                "effective_rates",
                "The same over the effective learning rate: lr × the factor that the law leaves",
                learning_rates.effective_rate_curves(comparison),
            ),
            (
                "heat_maps",
                "Mean test metric of every arm at every learning rate",
                learning_rates.heat_maps(comparison),
            ),
        ]
        if compared:
            figures += [
                ("shifts", "How far learning rates move", differences.shifts(comparison)),
                (
                    "prices",
                    "The price of not retuning, over the learning rate",
                    differences.prices(comparison),
                ),
            ]
    figures += [
        ("convergence", "Validation loss over steps", training.convergence(sweep, comparison)),
        (
            "paths",
            "One entry of a weight and of its gradient in the complex plane (× start)",
            training.paths(sweep, comparison),
        ),
        (
            "phase_roses",
            "Where the traced entries of w.grad point",
            training.phase_roses(sweep, comparison),
        ),
    ]
    for name, title, figure in figures:
        if figure is not None:
            yield Picture(name, title, figure)


def _facts(group: Group, answers: Answers) -> dict[str, Any]:
    return {
        "group": group.name,
        "metric": group.metric,
        "margin": group.margin,
        "margin_loss": group.margin_loss,
        "decides_on": group.decides_on,
        "seeds": list(group.seeds),
        "arms": [
            {
                "arm": arm.name,
                **(asdict(answers[group.name, arm.name])),
                "obstacles": list(arm.obstacles),
            }
            for arm in group.arms
            if (group.name, arm.name) in answers
        ],
    }
