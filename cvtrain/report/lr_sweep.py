"""The report of a sweep over learning rates: the answer, and the numbers behind it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cvtrain.analysis.answer import Answers
from cvtrain.analysis.compare import compare
from cvtrain.analysis.comparison import Comparison, Group
from cvtrain.analysis.load import Sweep
from cvtrain.analysis.predicted_factor import predicted_factors
from cvtrain.analysis.verdict import decide
from cvtrain.config.overrides import as_override
from cvtrain.report.answers import answer_sentences, answer_table
from cvtrain.report.document import Document, Section, Sentence
from cvtrain.report.lr_sweep_figures import cover, pictures
from cvtrain.report.lr_sweep_tables import (
    arm_table,
    difference_table,
    octave_table,
    price_table,
    regret_table,
)
from cvtrain.report.narrative import describe_group, margin_in_samples, without_comparison
from cvtrain.report.origin import named, target_name
from cvtrain.report.predicted_factor import factor_section
from cvtrain.report.references import reference_section
from cvtrain.runs.safe_names import shortened


def report_retuning(sweep: Sweep) -> Document:
    """Report the result of every arm of a sweep, by optimizer."""
    comparison = compare(sweep)
    groups = comparison.groups
    answers = decide(groups)
    slugs = table_names([group.name for group in groups])
    sections = [
        _group_section(group, answers, slug) for group, slug in zip(groups, slugs, strict=True)
    ]
    bounds = reference_section(sweep)
    if bounds is not None:
        sections.append(bounds)
    factors = list(predicted_factors(sweep, comparison))
    if factors:
        sections.append(factor_section(factors))
    drawn = tuple(pictures(sweep, comparison))
    if drawn:
        sections.append(Section("Figures", pictures=drawn))
    answered = {answer.group for answer in answers.values()}
    alone = [(g.name, without_comparison(g)) for g in groups if g.name not in answered]
    return Document(
        title=_question(groups),
        subject=_subject(comparison),
        answer=answer_table(groups, answers),
        verdict=(
            *answer_sentences(groups, answers),
            *_margins(groups),
            *(Sentence(f"{name}: {reason}.") for name, reason in alone if reason is not None),
        ),
        next_overrides=_next_overrides(sweep, answers),
        cover=cover(comparison, answers),
        sections=tuple(sections),
        broken=tuple(
            f"{answer.group}, {answer.arm}: {answer.outcome}"
            for answer in answers.values()
            if answer.kind == "law broken"
        ),
        facts={"verdict": [_facts(group, answers) for group in groups]},
    )


def table_names(groups: Sequence[str]) -> list[str]:
    """A distinct file name for each group, valid on every file system however long the group's name
    is."""
    names: dict[str, None] = {}
    for group in groups:
        slug = shortened(re.sub(r"[^a-z0-9]+", "_", group.lower()).strip("_"))
        numbered = (f"{slug}_{number}" for number in itertools.count(2))
        names[next(name for name in itertools.chain([slug], numbered) if name not in names)] = None
    return list(names)


def _margins(groups: Sequence[Group]) -> list[Sentence]:
    """Sentences that express the margin in test samples, for groups in which it decides."""
    decided = (group for group in groups if group.decides_on == "optimum" and group.base)
    texts = dict.fromkeys(margin_in_samples(group) for group in decided)
    return [Sentence(f"Test samples: {text}.") for text in texts if text is not None]


def _question(groups: Sequence[Group]) -> str:
    varied = {group.varied for group in groups} - {""}
    if varied:
        return f"What does {', '.join(sorted(varied))} change?"
    return "Does the factor 2 in w.grad matter here?"


def _subject(comparison: Comparison) -> str:
    """What was run, e.g. ``digits_fft, mixed_mlp, 350 runs of 200 steps, 5 seeds``."""
    runs = comparison.runs
    if runs.empty:
        return ""
    parts = []
    for key in ("data._target_", "model._target_"):
        names = list(dict.fromkeys(map(target_name, runs[key])))
        parts.append(named(names, f"of {key.split('.')[0]}"))
    steps = sorted(set(runs["max_steps"].astype(int)))
    of_steps = f"{steps[0]}" if len(steps) == 1 else f"{steps[0]} to {steps[-1]}"
    seeds = runs["seed"].nunique()
    parts.append(f"{len(runs)} run{'s' if len(runs) > 1 else ''} of {of_steps} steps")
    parts.append(f"{seeds} seed{'s' if seeds > 1 else ''}")
    splits = runs["split"].nunique()
    if splits > 1:
        parts.append(f"{splits} data splits")
    return ", ".join(parts)


def _next_overrides(sweep: Sweep, answers: Answers) -> tuple[str, ...]:
    """Overrides that, beside ``resume=``, should lead to an answer for inconclusive arms; empty if
    none are known."""
    wanted: dict[str, str] = {}
    for answer in answers.values():
        for override in answer.more_overrides:
            key = override.partition("=")[0]
            # Of several numbers of seeds, the largest is enough for all arms.
            wanted[key] = max(wanted.get(key, ""), override, key=lambda text: (len(text), text))
    if not wanted:
        return ()
    return as_override("resume", str(sweep.directory)), *(wanted[key] for key in sorted(wanted))


def _group_section(group: Group, answers: Answers, slug: str) -> Section:
    tables = [arm_table(group, slug)]
    others = [arm for arm in group.arms if arm.prices]
    rows: dict[str, tuple[str, ...]] = {}
    if others:
        differed = difference_table(group, others, answers, slug)
        moved = octave_table(others, slug)
        priced = price_table(group, others, slug)
        tables += [differed, moved, priced]
        common = group.base.best_lr if group.base else None
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
    wrong_rates = regret_table(group, slug)
    tables += [] if wrong_rates is None else [wrong_rates]
    return Section(group.name, tuple(describe_group(group, answers, rows)), tuple(tables))


def _facts(group: Group, answers: Answers) -> dict[str, Any]:
    return {
        "group": group.name,
        "metric": group.metric,
        "margin": group.margin,
        "margin_loss": group.margin_loss,
        "decides_on": group.decides_on,
        "reference": group.reference,
        "varied": group.varied,
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
