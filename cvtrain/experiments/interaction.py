"""Experiments on half of the gradient in combination with something else: decay, clipping,
schedules, ….

An interaction is an experiment that consists of a list of settings (`weight_decay`, `clipping`, …).
A setting has a reference and arms that train with half of the loss, or of the complex gradients,
and compensate it in one way or another. The report compares weights and results.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from cvtrain.analysis.best_lr import with_scores
from cvtrain.analysis.checkpoint_diff import difference, last_weights
from cvtrain.analysis.difference import Difference, paired_difference
from cvtrain.analysis.load import Sweep
from cvtrain.analysis.metric import ACCURACY
from cvtrain.analysis.verdict import differs
from cvtrain.experiments.claims import Claim, theory_claims
from cvtrain.experiments.registry import Experiment, module_of
from cvtrain.laws.table import defaults, exponents, rescaled_hyperparameters
from cvtrain.process.errors import InputError
from cvtrain.report.cells import Column, words
from cvtrain.report.document import Document, Section, Sentence, Table
from cvtrain.report.narrative import difference_text, interval

HALF_LOSS, HALF_GRADIENT = "objective.scale=0.5", "convention=wirtinger"
RATES = {
    "sgd": 0.0625,
    "adam": 0.00390625,
    "adamw": 0.00390625,
    "rmsprop": 0.001953125,
    "adadelta": 0.5,
}
"""Learning rates at which training is not chaotic."""
REFERENCE = "reference"
JITTERED = "jitter control: initial weights changed by 1e-6"


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        name: name of the arm in tables and sentences.
        overrides: overrides in addition to those of its setting.
        equal: whether theory predicts the reference's weights, bit for bit; None if this depends on
            the data.
    """

    name: str
    overrides: tuple[str, ...]
    equal: bool | None


@dataclass(frozen=True)
class Setting:
    """A reference and its arms.

    Attributes:
        name: name of the setting in tables and sentences.
        common: overrides of all its trainings.
        reference: further overrides of the reference.
        arms: trainings that are compared with the reference.
    """

    name: str
    common: tuple[str, ...]
    reference: tuple[str, ...]
    arms: tuple[Arm, ...]


def variants(name: str, settings: Sequence[Setting]) -> list[list[str]]:
    """Every training of the interaction `name` as overrides, labelled by the key ``variant``."""
    return [
        [*one.common, *arm.overrides, f"variant='{variant_label(name, one.name, arm.name)}'"]
        for one in settings
        for arm in (Arm(REFERENCE, one.reference, None), *one.arms)
    ]


def variant_label(interaction: str, setting: str, arm: str) -> str:
    """The value of the key ``variant`` of a training: its names, separated by semicolons."""
    return f"{interaction}; {setting}; {arm}"


def hyperparameters(optimizer: str, values: Mapping[str, Any], c: float = 1.0) -> tuple[str, ...]:
    """Overrides that set `values` and the hyperparameters with which the optimizer's law
    compensates a gradient times c."""
    values = {"lr": RATES[optimizer], **values}
    scaled = rescaled_hyperparameters(optimizer, {**defaults(optimizer), **values}, c)
    changed = {*values, *exponents(optimizer, scaled)}
    return tuple(f"optimizer.{name}={scaled[name]!r}".lower() for name in sorted(changed))


@dataclass(frozen=True)
class Finding:
    """The result of one arm of one setting.

    Attributes:
        setting, arm: the arm, and the setting with the reference that it is compared with.
        apart: max |w − w'| / max |w| over parameters for each seed; 0 if all bits are equal.
        outcome: paired difference of the test metric from the setting's reference.
        diverged: number of runs of the arm that diverged.
        missing: number of runs of the arm, or of the reference, without usable weights.
        from_control: paired difference from the setting's jitter control; without pairs if there is
            none.
    """

    setting: Setting
    arm: Arm
    apart: tuple[float, ...]
    outcome: Difference
    diverged: int
    missing: int
    from_control: Difference | None = None

    @property
    def equal(self) -> bool:
        """Whether all bits of all pairs are equal."""
        return bool(self.apart) and not any(self.apart) and not self.missing

    @property
    def as_predicted(self) -> bool:
        """Whether the prediction of theory holds; true if there is none."""
        if self.arm.equal is None:
            return True
        return self.equal if self.arm.equal else all(self.apart) and bool(self.apart)


def interaction_experiment(
    name: str,
    settings: Sequence[Setting],
    quick: tuple[str, ...],
    claims: tuple[Claim, ...] = (),
) -> Experiment:
    """Make the experiment that trains every arm of `settings`, with the report on them.

    Args:
        name: name of the experiment, whose module has `settings` in its constant ``SETTINGS``.
        settings: the settings with their arms.
        quick: overrides of its quick form in `cvtrain reproduce --quick`.
        claims: claims in addition to those on theory, which every interaction makes.
    """
    differ = any(arm.equal is False for one in settings for arm in one.arms)
    stated = (*theory_claims(name, differ), *claims)
    return Experiment(report_interaction, partial(variants, name, settings), quick, stated)


def interaction(name: str) -> tuple[Setting, ...]:
    """The settings of the experiment `name`.

    Raises:
        InputError: there is no such experiment, or it has no settings.
    """
    settings: tuple[Setting, ...] | None = getattr(module_of(name), "SETTINGS", None)
    if settings is None:
        raise InputError(f"{name}: should be an experiment that compares arms in settings")
    return settings


def findings(sweep: Sweep, name: str) -> list[Finding]:
    """Every arm of the interaction `name` with planned runs, in the order of the settings."""
    return [
        _finding(sweep, setting, arm, name)
        for setting in interaction(name)
        for arm in setting.arms
        if (sweep.runs["variant"] == variant_label(name, setting.name, arm.name)).any()
    ]


def report_interaction(sweep: Sweep) -> Document:
    """Report the effect of half of the gradient, and what compensates it.

    Raises:
        InputError: the runs do not belong to an interaction.
    """
    names = set()
    if "variant" in sweep.runs:
        names = {str(label).partition(";")[0] for label in sweep.runs["variant"].dropna()}
    if len(names) != 1:
        raise InputError(f"{sweep.directory}: its runs are of no interaction")
    (name,) = names
    results = findings(sweep, name)
    broken = (f"{one.setting.name}, {one.arm.name}" for one in results if not one.as_predicted)
    return Document(
        title=f"Half of the gradient, and {name.replace('_', ' ')}",
        verdict=tuple(Sentence(text, (name,)) for text in describe(name, results)),
        sections=(Section(name, tables=(_table(name, results),)),),
        broken=tuple(broken),
    )


def describe(name: str, results: Sequence[Finding]) -> list[str]:
    """The findings in a few sentences computed from the numbers."""
    lawful = [one.equal for one in results if one.arm.equal]
    sentences = [
        f"{name}: rescaled as the law says, {sum(lawful)} of {len(lawful)} arms train exactly like"
        " their reference, bit for bit."
    ]
    others = [one for one in results if not one.arm.equal and one.arm.name != JITTERED]
    same = [one for one in others if one.equal]
    if same:
        sentences.append(f"Equal without a law: {'; '.join(map(_label, same))}.")
    apart = [one for one in others if not one.equal and one.apart]
    if apart:
        medians = [float(np.median(one.apart)) for one in apart]
        far, near = (apart[int(index)] for index in (np.argmax(medians), np.argmin(medians)))
        sentences.append(
            f"The {len(apart)} other arms end with other weights, by {min(medians):.1e}"
            f" ({_label(near)}) to {max(medians):.1e} ({_label(far)}) of the largest one."
        )
        differing = [one for one in apart if differs(one.outcome, one.from_control)]
        largest = max(apart, key=lambda one: abs(one.outcome.mean))
        sentences.append(
            f"In {len(differing)} of them the outcome differs too; the largest change is that of"
            f" {_label(largest)}: {interval(largest.outcome, ACCURACY)}."
        )
    diverged = [f"{one.diverged} of {_label(one)}" for one in results if one.diverged]
    if diverged:
        sentences.append(f"Diverged: {'; '.join(diverged)}.")
    return sentences


def _finding(sweep: Sweep, setting: Setting, arm: Arm, name: str) -> Finding:
    runs = with_scores(sweep.runs)
    reference, own, control = (
        runs[runs["variant"] == variant_label(name, setting.name, arm_name)]
        for arm_name in (REFERENCE, arm.name, JITTERED)
    )
    pairs = reference.merge(own, on="seed", suffixes=("", "_other"))
    finished = (pairs["status"] == "finished") & (pairs["status_other"] == "finished")
    usable = pairs[finished]
    apart = tuple(
        difference(*(last_weights(sweep.directory / path) for path in paths))
        for paths in zip(usable["directory"], usable["directory_other"], strict=True)
    )
    return Finding(
        setting,
        arm,
        apart,
        paired_difference(reference, own, ACCURACY),
        diverged=int((own["status"] == "diverged").sum()),
        missing=max(len(reference), len(own)) - len(usable),
        from_control=paired_difference(control, own, ACCURACY),
    )


def _label(finding: Finding) -> str:
    return f"“{finding.setting.name}: {finding.arm.name}”"


def _table(name: str, results: Sequence[Finding]) -> Table:
    records = [
        {
            "setting": one.setting.name,
            "arm": one.arm.name,
            "theory": {True: "equal", False: "differ", None: ""}[one.arm.equal],
            "pairs": len(one.apart),
            "equal_pairs": sum(apart == 0 for apart in one.apart),
            "weights": float(np.median(one.apart)) if one.apart else math.nan,
            "accuracy": one.outcome.mean,
            "low": one.outcome.low,
            "high": one.outcome.high,
            "diverged": one.diverged,
            "missing": one.missing,
            "weights_text": _weights(one),
            "outcome_text": difference_text(one.outcome, ACCURACY),
        }
        for one in results
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
    equal = sum(apart == 0 for apart in finding.apart)
    if equal == len(finding.apart):
        return f"{equal} equal{lost}"
    return f"{np.median(finding.apart):.1e}{f' ({equal} equal)' if equal else ''}{lost}"
