"""What is compared with what: groups of runs, arms within a group, cells within an arm."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from cvtrain.gradients.convention import convention_name

REFERENCE = "scale 1, pytorch"
NULL = "jitter control"
FRACTIONS = {0.5: "½", 0.25: "¼", 0.125: "⅛"}

ARM_KEYS = ("objective.scale", "convention.scale", "convention.conjugate", "init_jitter")
RATE_KEYS = ("optimizer.lr", "optimizer.reference_lr", "lr_octave")
OTHER_KEYS = ("seed", "null_arm", "output", "plan", "on_error", "trusted_modules")
"""What differs between the runs of one group without making another group of them."""


def label_runs(runs: pd.DataFrame, config_keys: Sequence[str]) -> pd.DataFrame:
    """`runs` with two more columns: `group` and `arm`.

    A group is an optimizer, with whatever else of the configuration differs among its runs
    besides arm, learning rate and seed: ``SGD``, or ``SGD, momentum=0.9``; what a `variant` fixes
    is in its name. An arm is a reading of the gradient: ``scale ½, wirtinger``; jittered twins of
    the reference are the ``jitter control``.

    Args:
        runs: rows of `cvtrain.analysis.load.Sweep.runs` that have begun.
        config_keys: those of its columns that are configuration.
    """
    labelled = runs.copy()
    labelled["arm"] = [
        arm_name(*values) for values in labelled[list(ARM_KEYS)].itertuples(index=False, name=None)
    ]
    names = labelled["optimizer._target_"].str.rsplit(".", n=1).str[-1]
    labelled["group"] = names
    told = [key for key in config_keys if key not in (*ARM_KEYS, *RATE_KEYS, *OTHER_KEYS)]
    for name in names.unique():
        ours = labelled[names == name]
        varying = [key for key in told if ours[key].map(repr).nunique() > 1]
        if "variant" in varying:
            varying = ["variant", *(key for key in varying if not _follows(key, "variant", ours))]
        settings = [_settings(row, varying) for row in ours[varying].to_dict("records")]
        labelled.loc[ours.index, "group"] = [", ".join([name, *setting]) for setting in settings]
    return labelled


def arm_name(scale: float, convention_scale: float, conjugate: bool, jitter: float) -> str:
    """The label of an arm."""
    named = f"scale {FRACTIONS.get(scale, f'{scale:g}')}"
    arm = f"{named}, {convention_name(convention_scale, bool(conjugate))}"
    if jitter > 0:
        return NULL if arm == REFERENCE else f"{arm}, jittered"
    return arm


def _follows(key: str, other: str, rows: pd.DataFrame) -> bool:
    """Whether the value of `other` tells that of `key`."""
    return bool((rows[key].map(repr).groupby(rows[other].map(repr)).nunique() == 1).all())


def _settings(row: dict[str, object], keys: Sequence[str]) -> list[str]:
    """E.g. ``momentum=0.9`` and ``data=system_id`` for each of `keys` that has a value."""
    shown = []
    for key in keys:
        value = row[key]
        # None, or a key that this run's configuration does not have.
        if value is None or (isinstance(value, float) and math.isnan(value)):
            continue
        # Beside a missing value the table holds whole numbers as floats.
        text = str(value).removesuffix(".0")
        if key.endswith("._target_"):
            text = text.rsplit(".", 1)[-1]
        shown.append(f"{key.removeprefix('optimizer.').removesuffix('._target_')}={text}")
    return shown
