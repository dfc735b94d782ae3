"""Exact laws: what a factor c on the gradient is worth in hyperparameters.

Multiplying by a power of two is exact in floating point, so "gradient × c" can be traded for
hyperparameters × powers of c without any rounding: the weights are equal bit for bit. For other c
the law holds up to rounding.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from cvtrain import optim
from cvtrain.process.errors import InputError

Values = dict[str, Any]


@dataclass(frozen=True)
class Law:
    """Under g → c·g the same weights come from every hyperparameter × c^exponent.

    Attributes:
        exponents: of the hyperparameters that change.
        when: what else has to hold, or None.
        obstacle: why no constant map gives the same weights, or None; the exponents then are those
            of the nearest one.
        entrywise: whether every parameter may have a c of its own, in a group of its own.
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
        # step wherever |g|₁ < 1 or the curvature is not positive.
        when="the first |g|₁ is at least max(1, 1/c), the curvature along every step is well above"
        " 1e-10, and no step is as small as tolerance_change",
        entrywise=False,
    ),
}
"""By class; derived and checked bit by bit, see the experiment `laws`."""

CLIP_EXPONENTS = {"threshold": 1, "eps": 1}
"""Of clipping, by norm, modulus or Re and Im."""

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
    "muon": (optim.Muon, {}),
    "lbfgs": (torch.optim.LBFGS, {}),
}
"""By the name of the file in conf/optimizer: the class and the values that make the name."""


def law_of(optimizer: str) -> Law:
    """The law of an optimizer, by its name in conf/optimizer or its class's name.

    Raises:
        InputError: there is none.
    """
    return LAWS[class_name(optimizer)]


def defaults(optimizer: str) -> Values:
    """Every hyperparameter of an optimizer with the value it has when none is given.

    Raises:
        InputError: there is no such optimizer.
    """
    kind, made = CLASSES[_key(optimizer)]
    taken = inspect.signature(kind).parameters
    values = {name: p.default for name, p in taken.items() if name != "params"}
    for own in ("semantics", "stacked"):
        values.pop(own, None)
    return values | made


def exponents(optimizer: str, hyperparameters: Mapping[str, Any]) -> dict[str, int]:
    """The exponents of c that these hyperparameters need: decoupled weight decay stays as it is.

    Raises:
        InputError: there is no such optimizer.
    """
    found = dict(law_of(optimizer).exponents)
    if hyperparameters.get("decoupled_weight_decay"):
        del found["weight_decay"]
    return found


def rescaled_hyperparameters(
    optimizer: str, hyperparameters: Mapping[str, Any], c: float
) -> Values:
    """The hyperparameters that give the same weights from a gradient c times as large.

    Args:
        optimizer: its name.
        hyperparameters: some or all of them; the others have their defaults.
        c: factor on the gradient, above 0.

    Returns:
        all hyperparameters. Bit for bit for c = 2ᵏ and `Law.obstacle` None.

    Raises:
        InputError: no such optimizer or hyperparameter, a value out of range, or c ≤ 0.
    """
    if not (math.isfinite(c) and c > 0):
        raise InputError(f"c={c}: should be a finite number above 0")
    values = complete(optimizer, hyperparameters)
    return values | {
        name: values[name] * c**exponent for name, exponent in exponents(optimizer, values).items()
    }


def complete(optimizer: str, hyperparameters: Mapping[str, Any]) -> Values:
    """The hyperparameters with the defaults of those that are not given.

    Raises:
        InputError: no such optimizer or hyperparameter, or a value out of range.
    """
    values = defaults(optimizer)
    for name, value in hyperparameters.items():
        if name not in values:
            there = ", ".join(values)
            raise InputError(f"{name}={value}: {optimizer} has no such hyperparameter, but {there}")
    values |= hyperparameters
    try:
        optimizer_class(optimizer)([torch.zeros(1, 1)], **values)
    except (TypeError, ValueError) as error:
        raise InputError(f"{optimizer}: {error}") from None
    return values


def _key(optimizer: str) -> str:
    name = optimizer.lower()
    if name not in CLASSES:
        there = ", ".join(CLASSES)
        raise InputError(f"{optimizer}: no law is known for such an optimizer; there are {there}")
    return name


def optimizer_class(optimizer: str) -> Callable[..., torch.optim.Optimizer]:
    """The class of an optimizer.

    Raises:
        InputError: there is no such optimizer.
    """
    return CLASSES[_key(optimizer)][0]


def class_name(optimizer: str) -> str:
    """Of an optimizer's class.

    Raises:
        InputError: there is no such optimizer.
    """
    return optimizer_class(optimizer).__name__
