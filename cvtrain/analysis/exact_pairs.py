"""Pairs of runs of a sweep that a law makes equal, compared bit by bit.

By the law of its optimizer (`cvtrain.laws`), a run with a factor c on its gradients has the same
weights as a run without the factor whose hyperparameters h are h·c^exponent. Every run is therefore
described as the run without a factor that it should equal; runs with equal descriptions are pairs.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from cvtrain.analysis.arms import ARM_KEYS, OTHER_KEYS, REFERENCE
from cvtrain.analysis.checkpoint_diff import difference, last_weights
from cvtrain.analysis.load import missing
from cvtrain.laws.table import CLIP_EXPONENTS, Values, defaults, exponents, law_of
from cvtrain.process.errors import InputError

NOT_COMPARED = frozenset(
    (
        *(*ARM_KEYS, *OTHER_KEYS, "lr_octave", "optimizer.reference_lr", "variant", "analysis"),
        "checkpoint.every_n_steps",
    )
)
"""Keys in which the two runs of a pair may differ, apart from those the law changes; the seed is
compared separately."""
NO_CONVENTION = {"convention.scale": 1.0, "convention.conjugate": False}
DIGITS = 12
"""Significant digits of hyperparameters that are compared where c is no power of two."""


@dataclass(frozen=True)
class Pair:
    """Two runs that a law makes equal.

    Attributes:
        group, arm: names of the second run's group and arm.
        reference, other: directories of the first and of the second run.
        octaves: log₂ of the ratio of learning rates, second run to first.
        exact: whether the law holds to the last bit, which is so if the factor is a power of two.
        numbers: number of real numbers compared, without NaN.
        apart: max |w − w'| / max |w|; 0 if every bit is equal; NaN without weights.
        device: type of the device that trained the second run.
        base: arm of the first run: the reference, or another arm if no law makes the second run's
            arm equal to the reference.
    """

    group: str
    arm: str
    reference: str
    other: str
    octaves: float
    exact: bool
    numbers: int
    apart: float
    base: str = REFERENCE
    device: str = "cpu"

    @property
    def equal(self) -> bool:
        """Whether the weights of both runs are equal, bit for bit."""
        return self.apart == 0


def exact_pairs(runs: pd.DataFrame, config_keys: tuple[str, ...], directory: Path) -> list[Pair]:
    """Every pair of finished or diverged runs of different arms that a law makes equal.

    Args:
        runs: rows with `group` and `arm`, as returned by `cvtrain.analysis.arms.label_runs`.
        config_keys: columns of `runs` that are configuration.
        directory: directory of the sweep.
    """
    ended = runs[runs["status"].isin(["finished", "diverged"])]
    rows: list[dict[Any, Any]] = [
        row for row in ended.to_dict("records") if not row["init_jitter"] > 0
    ]
    keys = [without_factor(acting_configuration(row, config_keys), is_mixed(row)) for row in rows]
    # The first run is the reference's if there is one, else that of the arm whose objective is
    # closest to it: “scale ½, wirtinger” is “scale 1, wirtinger” at another learning rate.
    order = sorted(
        (index for index, key in enumerate(keys) if key is not None),
        key=lambda index: (rows[index]["arm"] != REFERENCE, -rows[index]["objective.scale"]),
    )
    bases: dict[Hashable, dict[Any, Any]] = {}
    for index in order:
        bases.setdefault(keys[index], rows[index])

    @cache
    def weights(name: str) -> dict[str, Tensor] | None:
        try:
            return last_weights(directory / name)
        except (OSError, ValueError, RuntimeError):  # never written, or cut short
            return None

    pairs = []
    for key, row in zip(keys, rows, strict=True):
        reference = bases.get(key) if key is not None else None
        if reference is None or row["arm"] in (REFERENCE, reference["arm"]):
            continue
        left, right = weights(reference["directory"]), weights(row["directory"])
        pairs.append(
            Pair(
                group=row["group"],
                arm=row["arm"],
                reference=reference["directory"],
                other=row["directory"],
                octaves=math.log2(row["optimizer.lr"] / reference["optimizer.lr"]),
                exact=all(math.log2(c).is_integer() for c in factors(row)),
                numbers=_real_numbers(right) if right is not None else 0,
                apart=difference(left, right) if left and right else math.nan,
                base=str(reference["arm"]),
                device="cpu" if missing(row.get("device")) else str(row["device"]),
            )
        )
    return pairs


def factors(row: Mapping[Any, Any] | pd.Series[Any]) -> tuple[float, float]:
    """Factors on the gradients of complex and of real parameters, without conjugation. In a network
    without complex parameters both are the factor of the real ones."""
    real = float(row["objective.scale"])
    return real if is_real(row) else real * float(row["convention.scale"]), real


def without_factor(config: Mapping[Any, Any], mixed: bool) -> Hashable | None:
    """Describe the run without a factor on its gradients that should have the same weights.

    Args:
        config: configuration by dotted keys.
        mixed: whether the network has real parameters beside complex ones.

    Returns:
        a key that is equal for runs that a law makes equal; None if no law applies.
    """
    on_complex, on_real = factors(config)
    if config["convention.conjugate"]:
        return None
    if not mixed:
        on_real = on_complex
    name = str(config["optimizer._target_"]).rsplit(".", 1)[-1]
    values = hyperparameters(config)
    if values is None:
        return None
    law = law_of(name)
    plain = (on_complex, on_real) == (1.0, 1.0)
    if not plain and law.obstacle is not None:
        return None
    if not law.entrywise and (on_complex != on_real or config["convention.scale"] != 1):
        return None  # a line search compares the loss with the gradient
    clipped = config["clip.kind"] != "none"
    if clipped and config["clip.kind"] == "norm" and on_complex != on_real:
        return None  # one norm over parameters of both kinds
    prefix = "optimizer.real_parameters."
    own = {
        key.removeprefix(prefix): value
        for key, value in config.items()
        if key.startswith(prefix) and value is not None
    }
    described = [_divided(name, values, on_complex)]
    if mixed:
        described.append(_divided(name, values | own, on_real))
    if clipped:
        thresholds = {e: config[f"clip.{e}"] for e in CLIP_EXPONENTS if f"clip.{e}" in config}
        sides = (on_complex, on_real) if mixed else (on_complex,)
        described += [tuple(_rounded(v / c, c) for v in thresholds.values()) for c in sides]
    rest = tuple(
        (key, value)
        for key, value in sorted(config.items())
        if key not in NOT_COMPARED
        and not key.startswith(("optimizer.", "clip.threshold", "clip.eps", "signals.", "report."))
    )
    kind = (name, config.get("optimizer.semantics"), int(config["seed"]))
    return (*kind, *described, rest, float(config["init_jitter"]))


def hyperparameters(config: Mapping[Any, Any]) -> Values | None:
    """All hyperparameters of the optimizer, with defaults; None if no law covers the optimizer."""
    name = str(config["optimizer._target_"]).rsplit(".", 1)[-1]
    try:
        values = defaults(name)
    except InputError:
        return None
    configured = {
        key.removeprefix("optimizer."): value
        for key, value in config.items()
        if key.startswith("optimizer.") and value is not None
    }
    return values | {key: configured[key] for key in values if key in configured}


def obstacles(config: Mapping[Any, Any], mixed: bool) -> list[str]:
    """The reasons why no learning rate makes this run equal to one without a factor; empty if one
    does."""
    on_complex, on_real = factors(config)
    reasons = []
    if config["convention.conjugate"]:
        reasons.append("the gradient is not conjugated, which is no factor")
    if mixed and on_complex != on_real:
        reasons.append(
            f"gradients of complex parameters are × {on_complex:g}, of real ones × {on_real:g}"
        )
    values = hyperparameters(config)
    if values is None:
        return [*reasons, "no law is known for this optimizer"]
    name = str(config["optimizer._target_"]).rsplit(".", 1)[-1]
    law = law_of(name)
    if law.obstacle is not None:
        reasons.append(law.obstacle)
    if not law.entrywise and config["convention.scale"] != 1:
        reasons.append("its line search compares the loss with a gradient of another factor")
    for key, exponent in exponents(name, values).items():
        if key != "lr" and values.get(key):
            factor = on_complex if on_complex != 1 else on_real
            reasons.append(
                f"{key} = {values[key]:g} is kept (law: {values[key] * factor**exponent:g})"
            )
    if config["clip.kind"] != "none":
        reasons.append(f"clip.threshold = {config['clip.threshold']:g} is kept")
    return reasons


def rate_exponent(config: Mapping[Any, Any]) -> int:
    """The exponent e such that lr·cᵉ compensates a factor c on the gradient: −1 for SGD, 0 for
    Adam.

    Args:
        config: configuration by dotted keys.

    Returns:
        e; 0 for an optimizer without a law.
    """
    values = hyperparameters(config)
    if values is None:
        return 0
    name = str(config["optimizer._target_"]).rsplit(".", 1)[-1]
    return exponents(name, values).get("lr", 0)


def predicted_shift(config: Mapping[Any, Any], mixed: bool) -> float:
    """Octaves by which the law moves the best learning rate. NaN if gradients of complex and real
    parameters have different factors, which no single rate compensates."""
    on_complex, on_real = factors(config)
    if mixed and on_complex != on_real:
        return math.nan
    return rate_exponent(config) * math.log2(on_complex)


def _divided(name: str, values: Values, c: float) -> tuple[Hashable, ...]:
    """Hyperparameters divided by the powers of c that compensate a factor c."""
    powers = exponents(name, values)
    return tuple(
        _rounded(value * c ** -powers[key], c) if key in powers else _hashable(value)
        for key, value in values.items()
    )


def _rounded(value: float, c: float) -> float:
    if math.log2(c).is_integer() or value == 0:
        return float(value)
    return float(f"{value:.{DIGITS}g}")


def _hashable(value: Any) -> Hashable:
    return tuple(value) if isinstance(value, list) else value


def acting_configuration(
    row: Mapping[Any, Any] | pd.Series[Any], keys: Sequence[str]
) -> dict[str, Any]:
    """The configuration of a row, without columns that belong to other runs of the table, and
    without the convention if the network has no complex parameter."""
    config = {
        key: row[key] for key in keys if not (isinstance(row[key], float) and math.isnan(row[key]))
    }
    return config | (NO_CONVENTION if is_real(row) else {})


def is_real(row: Mapping[Any, Any] | pd.Series[Any]) -> bool:
    """Whether a run's network has no complex parameter; false if unknown."""
    return bool(row.get("parameters.complex", math.nan) == 0)


def is_mixed(row: Mapping[Any, Any] | pd.Series[Any]) -> bool:
    """Whether a run's network has real parameters; true if unknown."""
    return bool(row.get("parameters.real", math.nan) != 0)


def _real_numbers(weights: Mapping[str, Tensor]) -> int:
    return sum(w.numel() * (2 if w.is_complex() else 1) for w in weights.values())
