"""What an interaction experiment found: arms against their reference, in weights and in outcome."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from cvtrain.analysis.checkpoint_diff import difference, last_weights
from cvtrain.analysis.difference import Difference, paired_difference
from cvtrain.analysis.load import Sweep
from cvtrain.analysis.scores import ACCURACY
from cvtrain.analysis.verdict import differs
from cvtrain.experiments.interaction_settings import (
    CHAOS,
    REFERENCE,
    Arm,
    Setting,
    variant_label,
    variants,
)
from cvtrain.experiments.registry import Experiment, module_of
from cvtrain.process.errors import InputError
from cvtrain.report.document import Column, Document, Section, Sentence, Table, words
from cvtrain.report.narrative import interval


@dataclass(frozen=True)
class Finding:
    """One arm of one setting.

    Attributes:
        setting, arm: what was compared with the setting's reference.
        apart: per seed max |w − w'| / max |w| over parameters, 0 where all bits are equal.
        outcome: the test metric's paired difference.
        diverged: runs of the arm that diverged.
        missing: runs of the arm, or of the reference beside it, that have no usable weights.
    """

    setting: Setting
    arm: Arm
    apart: tuple[float, ...]
    outcome: Difference
    diverged: int
    missing: int

    @property
    def equal(self) -> bool:
        """Whether all bits of all pairs are."""
        return bool(self.apart) and not any(self.apart) and not self.missing

    @property
    def as_predicted(self) -> bool:
        """Whether theory, where it has an answer, was right."""
        if self.arm.equal is None:
            return True
        return self.equal if self.arm.equal else all(self.apart) and bool(self.apart)


def interaction_experiment(
    name: str, settings: Sequence[Setting], quick: tuple[str, ...]
) -> Experiment:
    """The experiment that trains every arm of `settings`, with the report on them.

    Args:
        name: of the experiment, whose module has `settings` in its constant ``SETTINGS``.
        settings: what is compared with what.
        quick: overrides of its quick form.
    """
    return Experiment(report_interaction, partial(variants, name, settings), quick)


def interaction(name: str) -> tuple[Setting, ...]:
    """The settings of the experiment `name`.

    Raises:
        InputError: it is no experiment, or one without settings.
    """
    settings: tuple[Setting, ...] | None = getattr(module_of(name), "SETTINGS", None)
    if settings is None:
        raise InputError(f"{name}: should be an experiment that compares arms in settings")
    return settings


def findings(sweep: Sweep, name: str) -> list[Finding]:
    """Every arm of the interaction `name` of which a run was planned, in the order of its table."""
    return [
        _finding(sweep, setting, arm, name)
        for setting in interaction(name)
        for arm in setting.arms
        if (sweep.runs["variant"] == variant_label(name, setting.name, arm.name)).any()
    ]


def report_interaction(sweep: Sweep) -> Document:
    """What half of the gradient changed, and how it is made up for.

    Raises:
        InputError: the runs are of no interaction.
    """
    names = set()
    if "variant" in sweep.runs:
        names = {str(label).partition(";")[0] for label in sweep.runs["variant"].dropna()}
    if len(names) != 1:
        raise InputError(f"{sweep.directory}: its runs are of no interaction")
    (name,) = names
    found = findings(sweep, name)
    broken = (f"{each.setting.name}, {each.arm.name}" for each in found if not each.as_predicted)
    return Document(
        title=f"Half of the gradient, and {name.replace('_', ' ')}",
        verdict=tuple(Sentence(told, (name,)) for told in describe(name, found)),
        sections=(Section(name, tables=(_table(name, found),)),),
        broken=tuple(broken),
    )


def describe(name: str, found: Sequence[Finding]) -> list[str]:
    """The findings in a few sentences, each from the numbers alone."""
    ruled = [each.equal for each in found if each.arm.equal]
    told = [
        f"{name}: rescaled as the law says, {sum(ruled)} of {len(ruled)} arms train exactly like"
        " their reference, bit for bit."
    ]
    others = [each for each in found if not each.arm.equal and each.arm.name != CHAOS]
    same = [each for each in others if each.equal]
    if same:
        told.append(f"Equal without a law: {'; '.join(_named(each) for each in same)}.")
    apart = [each for each in others if not each.equal and each.apart]
    if apart:
        middles = [float(np.median(each.apart)) for each in apart]
        far, near = (apart[int(place)] for place in (np.argmax(middles), np.argmin(middles)))
        told.append(
            f"The {len(apart)} other arms end with other weights, by {min(middles):.1e}"
            f" ({_named(near)}) to {max(middles):.1e} ({_named(far)}) of the largest one."
        )
        seen = [each for each in apart if differs(each.outcome, _chaos(found, each.setting))]
        largest = max(apart, key=lambda each: abs(each.outcome.mean))
        told.append(
            f"In {len(seen)} of them the outcome differs too; the largest change is that of"
            f" {_named(largest)}: {interval(largest.outcome, ACCURACY)}."
        )
    lost = [each for each in found if each.diverged]
    if lost:
        each_told = "; ".join(f"{each.diverged} of {_named(each)}" for each in lost)
        told.append(f"Diverged: {each_told}.")
    return told


def _finding(sweep: Sweep, setting: Setting, arm: Arm, name: str) -> Finding:
    runs = sweep.runs.assign(
        score=sweep.runs["val/loss"].where(sweep.runs["status"] == "finished", np.inf)
    )
    reference, own = (
        runs[runs["variant"] == variant_label(name, setting.name, each)]
        for each in (REFERENCE, arm.name)
    )
    pairs = reference.merge(own, on="seed", suffixes=("", "_other"))
    finished = (pairs["status"] == "finished") & (pairs["status_other"] == "finished")
    usable = pairs[finished]
    apart = tuple(
        difference(*(last_weights(sweep.directory / place) for place in places))
        for places in zip(usable["directory"], usable["directory_other"], strict=True)
    )
    return Finding(
        setting,
        arm,
        apart,
        paired_difference(reference, own, ACCURACY),
        diverged=int((own["status"] == "diverged").sum()),
        missing=max(len(reference), len(own)) - len(usable),
    )


def _chaos(found: Sequence[Finding], setting: Setting) -> Difference | None:
    """What a jitter of the initial weights does to the outcome, where a setting has that arm."""
    jittered = (f.outcome for f in found if f.setting == setting and f.arm.name == CHAOS)
    return next(jittered, None)


def _named(finding: Finding) -> str:
    return f"“{finding.setting.name}: {finding.arm.name}”"


def _table(name: str, found: Sequence[Finding]) -> Table:
    records = [
        {
            "setting": each.setting.name,
            "arm": each.arm.name,
            "theory": {True: "equal", False: "differ", None: ""}[each.arm.equal],
            "pairs": len(each.apart),
            "equal_pairs": sum(apart == 0 for apart in each.apart),
            "weights": float(np.median(each.apart)) if each.apart else math.nan,
            "accuracy": each.outcome.mean,
            "low": each.outcome.low,
            "high": each.outcome.high,
            "diverged": each.diverged,
            "missing": each.missing,
            "weights_text": _weights(each),
            "outcome_text": _outcome(each.outcome),
        }
        for each in found
    ]
    columns = (
        words("setting", "setting"),
        words("arm", "arm"),
        words("theory", "theory"),
        Column("weights", lambda r: r["weights_text"]),
        Column("test accuracy, points", lambda r: r["outcome_text"]),
    )
    caption = (
        "weights: pairs that are equal bit for bit, or the median over seeds of"
        " max |w − w'| / max |w|"
    )
    title = f"{name}: against the reference of each setting"
    return Table(name, title, columns, tuple(records), caption)


def _weights(finding: Finding) -> str:
    if not finding.apart:
        return "none"
    lost = f", {finding.missing} lost" if finding.missing else ""
    equal = sum(each == 0 for each in finding.apart)
    if equal == len(finding.apart):
        return f"{equal} equal{lost}"
    return f"{np.median(finding.apart):.1e}{f' ({equal} equal)' if equal else ''}{lost}"


def _outcome(outcome: Difference) -> str:
    if outcome.pairs == 0 or pd.isna(outcome.mean):
        return ""
    if outcome.identical:
        return "identical"
    return interval(outcome, ACCURACY).partition(" points")[0]
