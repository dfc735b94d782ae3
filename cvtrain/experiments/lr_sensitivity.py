"""The experiment `lr_sensitivity`: the cost of not knowing the learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cvtrain.analysis.answer import signed_text
from cvtrain.analysis.arms import CONTROL
from cvtrain.analysis.compare import compare
from cvtrain.analysis.comparison import Group
from cvtrain.analysis.grid import Grid, paired
from cvtrain.analysis.load import Sweep
from cvtrain.analysis.registration import register
from cvtrain.analysis.replicates import replicate_means
from cvtrain.analysis.statistics import Interval, RealArray, interval
from cvtrain.experiments.claims import Claim, Measure, row_estimate
from cvtrain.experiments.registry import Experiment, variants_override
from cvtrain.report.cells import Column, interval_ends, interval_text, words
from cvtrain.report.document import Document, Section, Sentence, Table

TABLE = "sensitivity"


@dataclass(frozen=True)
class ArmSensitivity:
    """One arm under one setting.

    Attributes:
        variant, arm: names; `arm` is the reference if `difference` is None.
        sensitivity: learning-rate sensitivity of the validation loss, over seeds.
        difference: difference from the reference's sensitivity under the same setting, paired by
            seed.
        octaves: shift of the arm's curve from the reference's; None for the reference.
        decades: range of the learning rates that were tried, in decades.
    """

    variant: str
    arm: str
    sensitivity: Interval
    difference: Interval | None
    octaves: Interval | None
    decades: float


def sensitivities(grid: Grid, untrained: float) -> RealArray:
    """Learning-rate sensitivity of each seed: the mean over octaves of min(ℓ, ℓ₀) − ℓ*, with the
    validation loss ℓ, the untrained loss ℓ₀ and the lowest loss ℓ* of the seed.

    Wortsman et al. 2023, arXiv:2309.14322. A run that diverged counts as untrained.

    Returns:
        `[keys]`; NaN for a seed that lacks a run.
        `[keys]`; NaN for a seed that lacks a run.
    """
    losses = np.where(np.isfinite(grid.loss) | np.isnan(grid.loss), grid.loss, untrained)
    bounded = np.minimum(losses, untrained)
    span = grid.octaves[-1] - grid.octaves[0]
    if span == 0:
        return np.full(len(grid.keys), np.nan)
    return np.asarray(np.trapezoid(bounded, grid.octaves, axis=1) / span - bounded.min(axis=1))


def arm_sensitivities(groups: Sequence[Group]) -> Iterator[ArmSensitivity]:
    """Every arm of every setting, the reference first."""
    for group in groups:
        base = group.base
        if base is None:
            continue
        for arm in group.arms:
            if arm.name == CONTROL:
                continue
            left, right = paired(base.grid, arm.grid)
            own = sensitivities(right, group.untrained)
            of_reference = sensitivities(left, group.untrained)
            shift = register(base.grid, arm.grid, group.margin_loss, group.untrained).shift
            plain = arm is base
            yield ArmSensitivity(
                group.name.partition("variant=")[2] or group.name,
                arm.name,
                _over_seeds(own, right),
                None if plain else _over_seeds(own - of_reference, right),
                None if plain else shift,
                float(arm.grid.octaves[-1] - arm.grid.octaves[0]) * math.log10(2),
            )


def _over_seeds(values: RealArray, grid: Grid) -> Interval:
    return interval(replicate_means(values, grid.replicates))


def report_sensitivity(sweep: Sweep) -> Document:
    """Report the sensitivity of each arm under each setting, and the effect of the convention on
    it."""
    rows = list(arm_sensitivities(compare(sweep).groups))
    return Document(
        title="What does it cost not to know the learning rate?",
        verdict=tuple(describe(rows)),
        sections=(Section("Sensitivity", tables=(sensitivity_table(rows),)),),
    )


def describe(rows: Sequence[ArmSensitivity]) -> Iterator[Sentence]:
    """Sentences on the least sensitive setting, and on where the convention changes the
    sensitivity."""
    plain = [row for row in rows if row.difference is None and row.sensitivity.known]
    if not plain:
        yield Sentence("No setting has all its learning rates yet.")
        return
    ordered = sorted(plain, key=lambda row: row.sensitivity.mean)
    texts = [f"{row.variant} {row.sensitivity.mean:.3f}" for row in ordered]
    yield Sentence(
        f"Sensitivity over {plain[0].decades:.1f} decades of learning rates, least first:"
        f" {', '.join(texts)}.",
        (TABLE,),
    )
    changed = []
    arms = [row for row in rows if row.difference is not None and row.difference.known]
    for row in arms:
        assert row.difference is not None
        if row.difference.low > 0 or row.difference.high < 0:
            changed.append(
                f"{row.variant}, {row.arm} by {signed_text(row.difference.mean, '+.3f')}"
            )
    if arms:
        listed = f": {'; '.join(changed)}" if changed else ""
        yield Sentence(
            f"The arms change it significantly in {len(changed)} of {len(arms)} cases (95 %"
            f" intervals, each alone){listed}.",
            (TABLE,),
        )


def _row_of_half(setting: str, key: str) -> Measure:
    return row_estimate(TABLE, {"variant": setting, "arm": "scale 1, wirtinger"}, key)


def sensitivity_table(rows: Sequence[ArmSensitivity]) -> Table:
    """Sensitivities, one row per setting and arm."""

    def column(heading: str, key: str, form: str) -> Column:
        return Column(
            heading, lambda r: interval_text(r[key], r[f"{key}_low"], r[f"{key}_high"], form)
        )

    records = tuple(
        {
            "variant": row.variant,
            "arm": row.arm,
            **interval_ends("sensitivity", row.sensitivity),
            **interval_ends("difference", row.difference),
            **interval_ends("octaves", row.octaves),
        }
        for row in rows
    )
    columns = (
        words("setting", "variant"),
        words("arm", "arm"),
        column("sensitivity", "sensitivity", ".3f"),
        column("arm − reference", "difference", "+.3f"),
        column("octaves", "octaves", "+.2f"),
    )
    caption = (
        "sensitivity: mean over the learning rates, in octaves, of how far the validation loss is"
        " above the lowest one of its seed, where no loss counts more than that of an untrained"
        " network (Wortsman et al. 2023); octaves: by which the curve moves near the best rate;"
        " 95 % intervals over seeds"
    )
    return Table(TABLE, "learning-rate sensitivity", columns, records, caption)


# The settings of the YAML choose their numbers of steps, so that max_steps alone changes nothing.
QUICK_SETTINGS = (
    ("variant=plain", "max_steps=10"),
    ("variant=warm-up", "max_steps=10", "scheduler=warmup"),
    ("variant='clipped norm'", "max_steps=10", "clip=norm"),
    ("variant='twice the steps'", "max_steps=20"),
)
EXPERIMENT = Experiment(
    report_sensitivity,
    quick=("seed=0,1", "lr_octave=-2,0", variants_override(QUICK_SETTINGS)),
    claims=(
        Claim(
            "Halving complex gradients also moves the curve with twice the steps.",
            _row_of_half("twice the steps", "octaves"),
            *(0.0, 1.0, "octaves"),
        ),
        Claim(
            "With a clipped norm it moves the curve by less than 0.1 octave.",
            _row_of_half("clipped norm", "octaves"),
            *(-0.1, 0.1, "octaves"),
        ),
        Claim(
            "It changes the sensitivity by less than 1/3.",
            _row_of_half("plain", "difference"),
            *(-1 / 3, 1 / 3, ""),
            form="+.3f",
        ),
    ),
)
