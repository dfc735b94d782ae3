"""What is compared with what: groups of runs, arms within a group, cells within an arm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cvtrain.gradients.convention import convention_name
from cvtrain.process.errors import InputError

REFERENCE = "scale 1, pytorch"
CONTROL = "jitter control"
FRACTIONS = {0.5: "½", 0.25: "¼", 0.125: "⅛"}

ARM_KEYS = ("objective.scale", "convention.scale", "convention.conjugate", "init_jitter")
RATE_KEYS = ("optimizer.lr", "optimizer.reference_lr", "lr_octave")
OTHER_KEYS = ("seed", "null_arm", "output", "plan", "on_error", "trusted_modules")
"""Keys that may differ between the runs of one group."""
DATA, OPTIMIZER, SPLIT = "data._target_", "optimizer._target_", "data.seed"
NOT_ARMS = (SPLIT, "report.", "signals.", "checkpoint.", "goal.", "analysis", "start_from")
"""Prefixes of keys that make no arms when they are swept."""


def label_runs(
    runs: pd.DataFrame, config_keys: Sequence[str], *, ablations: bool = True
) -> pd.DataFrame:
    """`runs` with four more columns: `group`, `arm`, `reference` and `varied`.

    If the gradient's factor was swept, arms are readings of the gradient (``scale ½, wirtinger``)
    and the reference is `REFERENCE`. Runs form one group if they differ only in arm, learning rate,
    seed and split of the data; a group is named after its optimizer and other settings: ``SGD``, or
    ``SGD, momentum=0.9``. What a `variant` fixes is in the variant's name.

    Otherwise every other swept key makes arms, such as ``clip.kind=norm``, and groups are
    optimizers and data sets. If nothing else was swept, the optimizers are the arms. The reference
    is then the first arm of a group or the arm that `report.reference` names, and `varied` lists
    the keys. The reference with jittered initial weights is the ``jitter control``.

    Args:
        runs: rows of `cvtrain.analysis.load.Sweep.runs` that have begun.
        config_keys: columns of `runs` that are configuration.
        ablations: whether keys other than the gradient's factor make arms.

    Raises:
        InputError: `report.reference` names no arm.
    """
    labelled = runs.copy()
    labelled["arm"] = [
        arm_name(*values) for values in labelled[list(ARM_KEYS)].itertuples(index=False, name=None)
    ]
    names = labelled["optimizer._target_"].str.rsplit(".", n=1).str[-1]
    same_group = {*ARM_KEYS, *RATE_KEYS, *OTHER_KEYS, SPLIT}
    settings = [key for key in config_keys if key not in same_group]
    if ablations and set(labelled["arm"]) <= {REFERENCE, CONTROL}:
        varied = _varied_keys(labelled, settings)
        if varied:
            return _label_ablation(labelled, varied, names)
    labelled["group"], labelled["reference"], labelled["varied"] = names, REFERENCE, ""
    for name in names.unique():
        rows = labelled[names == name]
        varying = [key for key in settings if rows[key].map(repr).nunique() > 1]
        if "variant" in varying:
            varying = _telling(rows, varying)
        texts = [_settings(row, varying) for row in rows[varying].to_dict("records")]
        labelled.loc[rows.index, "group"] = [", ".join([name, *text]) for text in texts]
    return labelled


def _varied_keys(rows: pd.DataFrame, settings: Sequence[str]) -> list[str]:
    """The swept keys that make arms. Left out are keys that follow from another key, such as the
    hyperparameters of an optimizer, and data set and optimizer, which make groups; the optimizer
    alone if nothing else was swept."""
    varying = [
        key
        for key in settings
        if not key.startswith(NOT_ARMS) and rows[key].map(repr).nunique() > 1
    ]
    if "variant" in varying:
        return []
    varying.sort(key=lambda key: (key != DATA, not key.endswith(("._target_", ".kind"))))
    chosen: list[str] = []
    for key in varying:
        if not any(_follows(key, other, rows) for other in chosen):
            chosen.append(key)
    arms = [key for key in chosen if key not in (DATA, OPTIMIZER)]
    return arms or [key for key in chosen if key == OPTIMIZER]


def _label_ablation(rows: pd.DataFrame, varied: Sequence[str], names: pd.Series) -> pd.DataFrame:
    texts = [", ".join(_settings(row, varied, True)) for row in rows[[*varied]].to_dict("records")]
    group = pd.Series("optimizers", index=rows.index) if OPTIMIZER in varied else names
    if rows[DATA].nunique() > 1:
        records = ({DATA: value} for value in rows[DATA])
        group = group + [f", {text}" for record in records for text in _settings(record, [DATA])]
    labelled = rows.assign(arm=texts, group=group, varied=", ".join(map(_short, varied)))
    wanted = rows["report.reference"].iloc[0] if "report.reference" in rows else None
    if isinstance(wanted, str) and wanted not in texts:
        known = "; ".join(dict.fromkeys(texts))
        raise InputError(f"report.reference={wanted}: should be one of {known}")
    arms = labelled.groupby("group", sort=False)["arm"]
    labelled["reference"] = arms.transform(
        lambda names: wanted if wanted in set(names) else names.iloc[0]
    )
    controls = rows["init_jitter"] > 0
    of_reference = labelled["arm"] == labelled["reference"]
    labelled.loc[controls & ~of_reference, "arm"] += ", jittered"
    labelled.loc[controls & of_reference, "arm"] = CONTROL
    return labelled


def _telling(rows: pd.DataFrame, varying: Sequence[str]) -> list[str]:
    """The variant, and the keys whose values do not follow from keys before them; data and network
    come before their own settings."""
    chosen: list[str] = []
    for key in sorted(varying, key=lambda key: (key != "variant", not key.endswith("._target_"))):
        known = rows[chosen].map(repr).agg(" ".join, axis=1) if chosen else None
        if known is None or (rows[key].map(repr).groupby(known).nunique() > 1).any():
            chosen.append(key)
    return chosen


def _short(key: str) -> str:
    return key.removesuffix("._target_").removeprefix("optimizer.")


def arm_name(scale: float, convention_scale: float, conjugate: bool, jitter: float) -> str:
    """The label of the arm with this loss factor, convention (scale and conjugation) and jitter of
    the initial weights."""
    named = f"scale {FRACTIONS.get(scale, f'{scale:g}')}"
    arm = f"{named}, {convention_name(convention_scale, bool(conjugate))}"
    if jitter > 0:
        return CONTROL if arm == REFERENCE else f"{arm}, jittered"
    return arm


def _follows(key: str, other: str, rows: pd.DataFrame) -> bool:
    """Whether the value of `other` determines the value of `key`."""
    return bool((rows[key].map(repr).groupby(rows[other].map(repr)).nunique() == 1).all())


def _settings(row: Mapping[Any, Any], keys: Sequence[str], whole: bool = False) -> list[str]:
    """The settings of `keys` in a row, e.g. ``momentum=0.9`` and ``data=system_id``; keys without a
    value only if `whole`."""
    shown = []
    for key in keys:
        value = row[key]
        # None, or a key that this run's configuration does not have.
        if value is None or (isinstance(value, float) and math.isnan(value)):
            if whole:
                shown.append(f"{_short(key)}=none")
            continue
        # Beside a missing value the table holds whole numbers as floats.
        text = str(value).removesuffix(".0")
        if key.endswith("._target_"):
            text = text.rsplit(".", 1)[-1]
        shown.append(f"{_short(key)}={text}")
    return shown
