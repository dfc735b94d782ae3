"""Where half of the gradient meets something else: pairs of trainings, most of them with a law.

An interaction is an experiment that is a list of settings (`weight_decay`, `clipping`, …); a
setting has a reference and arms that train with half of the loss, or of the complex gradients, and
make up for it in one way or another. Every training is a list of overrides for `python -m cvtrain`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cvtrain.laws.table import defaults, exponents, rescaled_hyperparameters

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
CHAOS = "chaos alone: weights jittered by 1e-6"


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        name: what is told of it.
        overrides: on top of those of its setting.
        equal: whether theory says that it ends with the reference's weights, bit for bit; None
            where the answer depends on the data.
    """

    name: str
    overrides: tuple[str, ...]
    equal: bool | None


@dataclass(frozen=True)
class Setting:
    """A reference and its arms.

    Attributes:
        name: what is told of it.
        common: overrides of all.
        reference: further overrides of the reference.
        arms: what is compared with it.
    """

    name: str
    common: tuple[str, ...]
    reference: tuple[str, ...]
    arms: tuple[Arm, ...]


def variants(name: str, settings: Sequence[Setting]) -> list[list[str]]:
    """Every training of the interaction `name` as overrides; ``variant`` says which it is."""
    found = []
    for setting in settings:
        arms = (Arm(REFERENCE, setting.reference, None), *setting.arms)
        for arm in arms:
            label = variant_label(name, setting.name, arm.name)
            found.append([*setting.common, *arm.overrides, f"variant='{label}'"])
    return found


def variant_label(interaction: str, setting: str, arm: str) -> str:
    """What ``variant`` holds of a training; the parts stand in front of semicolons."""
    return f"{interaction}; {setting}; {arm}"


def hyperparameters(optimizer: str, values: Mapping[str, Any], c: float = 1.0) -> tuple[str, ...]:
    """Overrides of the hyperparameters that make up for a gradient times c, and of those given."""
    given = {"lr": RATES[optimizer], **values}
    scaled = rescaled_hyperparameters(optimizer, {**defaults(optimizer), **given}, c)
    changed = {*given, *exponents(optimizer, scaled)}
    return tuple(f"optimizer.{name}={scaled[name]!r}".lower() for name in sorted(changed))
