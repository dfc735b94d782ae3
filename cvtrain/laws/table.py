"""The table of exact laws: the hyperparameters that compensate a factor c on the gradient.

Multiplying by a power of two is exact in floating point. A factor c on the gradient can therefore
be exchanged for powers of c on hyperparameters without rounding: the weights are bit-identical. For
other c the law holds up to rounding.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from cvtrain import optim
from cvtrain.optim.hyperparameters import SWITCHES
from cvtrain.process.errors import InputError

Values = dict[str, Any]


@dataclass(frozen=True)
class Law:
    """Under g → c·g the same weights come from every hyperparameter × c^exponent.

    exponents: exponents of c by name, for hyperparameters that change; the others stay unchanged.
    when: a further condition, or None.
    obstacle: why no constant map gives the same weights, or None; the exponents are then those of
        the nearest map.
    entrywise: whether the law holds for each parameter separately, so that complex and real
        parameters may have different c in separate groups.
    """

    exponents: Mapping[str, int]
    when: str | None = None
    obstacle: str | None = None
    entrywise: bool = True


LAWS: dict[str, Law] = {
    "SGD": Law({"lr": -1, "weight_decay": 1}),
    "Adam": Law({"eps": 1, "weight_decay": 1}),
    "AdamW": Law({"eps": 1}),
    "NAdam": Law({"eps": 1, "weight_decay": 1}),
    "Adamax": Law({"eps": 1, "weight_decay": 1}),
    "RMSprop": Law({"eps": 1, "weight_decay": 1}),
    "Adagrad": Law({"eps": 1, "initial_accumulator_value": 2, "weight_decay": 1}),
    "Adadelta": Law({"lr": -1, "eps": 2, "weight_decay": 1}),
    "ASGD": Law({"lr": -1, "lambd": 1, "weight_decay": 1}),
    "Rprop": Law({}),
    "Lion": Law({}),
    "SignSGD": Law({}),
    "Muon": Law({"eps": 1}),
    "RAdam": Law(
        {"eps": 1, "weight_decay": 1},
        obstacle="its first steps are plain momentum and need lr/c, the later ones lr",
    ),
    "LBFGS": Law(
        {"tolerance_grad": 1, "tolerance_change": 1},
        # Its bounds on the curvature and on the size of a step are absolute, and so is its first
        # step if |g|₁ < 1 or the curvature is not positive.
        when="the first |g|₁ is at least max(1, 1/c), the curvature along every step is well above"
        " 1e-10, and no step is as small as tolerance_change",
        entrywise=False,
    ),
}
"""The laws by name of the class; the experiment `laws` trains both sides of each and compares
bits."""

CLIP_EXPONENTS = {"threshold": 1, "eps": 1}
"""Exponents of c for every kind of clipping: by norm (with eps), by modulus, of Re and Im."""

CLASSES: dict[str, tuple[Callable[..., torch.optim.Optimizer], Values]] = {
    "sgd": (optim.SGD, {}),
    "sgd_momentum": (optim.SGD, {"momentum": 0.9}),
    "adam": (optim.Adam, {}),
    "amsgrad": (optim.Adam, {"amsgrad": True}),
    "adamw": (optim.AdamW, {}),
    "nadam": (optim.NAdam, {}),
    "radam": (optim.RAdam, {}),
    "adamax": (optim.Adamax, {}),
    "rmsprop": (optim.RMSprop, {}),
    "adagrad": (optim.Adagrad, {}),
    "adadelta": (optim.Adadelta, {}),
    "rprop": (optim.Rprop, {}),
    "asgd": (optim.ASGD, {}),
    "lion": (optim.Lion, {}),
    "signsgd": (optim.SignSGD, {}),
    "muon": (optim.Muon, {"flatten": True}),
    "lbfgs": (torch.optim.LBFGS, {}),
}
"""Class and special values of each file in conf/optimizer, by its name."""


def law_of(optimizer: str) -> Law:
    """The law of an optimizer, by its name in conf/optimizer.

    InputError: the optimizer is unknown.
        InputError: there is no such optimizer.
    """
    return LAWS[class_name(optimizer)]


def defaults(optimizer: str) -> Values:
    """Every hyperparameter of an optimizer (its name in conf/optimizer) with its default.

    InputError: the optimizer is unknown.
        InputError: there is no such optimizer.
    """
    kind, set_apart = CLASSES[_key(optimizer)]
    parameters = inspect.signature(kind).parameters
    values = {name: parameter.default for name, parameter in parameters.items()}
    for name in ("params", "semantics", "stacked", *SWITCHES):
        values.pop(name, None)
    return values | set_apart


def exponents(optimizer: str, hyperparameters: Mapping[str, Any]) -> dict[str, int]:
    """The exponents of c by hyperparameter. Decoupled weight decay has none, since it stays
    unchanged.

    Args:
        optimizer: its name in conf/optimizer.
        hyperparameters: values by name, of which only `decoupled_weight_decay` matters.

    Raises:
        InputError: the optimizer is unknown.
    """
    decoupled = hyperparameters.get("decoupled_weight_decay")
    return {
        name: exponent
        for name, exponent in law_of(optimizer).exponents.items()
        if not (decoupled and name == "weight_decay")
    }


def rescaled_hyperparameters(
    optimizer: str, hyperparameters: Mapping[str, Any], c: float
) -> Values:
    """The hyperparameters that give the same weights from a gradient c times as large.

    Args:
        optimizer: its name in conf/optimizer.
        hyperparameters: some or all values; the others have their defaults.
        c: factor on the gradient, above 0.

    Returns:
        all hyperparameters. The weights are bit-identical for c = 2ᵏ if `Law.obstacle` is None.

    Raises:
        InputError: the optimizer or a hyperparameter is unknown, a value is out of range, or c ≤ 0.
    """
    if not (math.isfinite(c) and c > 0):
        raise InputError(f"c={c}: should be a finite number above 0")
    values = complete(optimizer, hyperparameters)
    return values | {
        name: values[name] * c**exponent for name, exponent in exponents(optimizer, values).items()
    }


def complete(optimizer: str, hyperparameters: Mapping[str, Any]) -> Values:
    """Complete `hyperparameters` of an optimizer with its defaults.

    Raises:
        InputError: the optimizer or a hyperparameter is unknown, or a value is out of range.
    """
    values = defaults(optimizer)
    for name in hyperparameters:
        if name not in values:
            known = ", ".join(values)
            raise InputError(f"{name}: not a hyperparameter of {optimizer}; it takes {known}")
    values |= hyperparameters
    try:
        optimizer_class(optimizer)([torch.zeros(1, 1)], **values)
    except (TypeError, ValueError) as error:
        raise InputError(f"{optimizer}: {error}") from None
    return values


def _key(optimizer: str) -> str:
    name = optimizer.lower()
    if name not in CLASSES:
        known = ", ".join(CLASSES)
        raise InputError(f"optimizer={optimizer}: should be one with a known law: {known}")
    return name


def optimizer_class(optimizer: str) -> Callable[..., torch.optim.Optimizer]:
    """The class of an optimizer, by its name in conf/optimizer.

    Raises:
        InputError: the optimizer is unknown.
    """
    return CLASSES[_key(optimizer)][0]


def class_name(optimizer: str) -> str:
    """The name of an optimizer's class, by its name in conf/optimizer.

    Raises:
        InputError: the optimizer is unknown.
    """
    return optimizer_class(optimizer).__name__
