"""Pairs of trainings that a law makes equal, and controls that must differ.

Each is a list of overrides for `python -m cvtrain`; the experiment `laws` trains them all. The
gradient's factor c comes from ``objective.scale``, which acts on all parameters alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cvtrain.laws.table import CLIP_EXPONENTS, Values, defaults, exponents, rescaled_hyperparameters

EXACT_FACTORS = (0.5, 2.0, 0.25)
ROUNDING_FACTOR = 1 / 3
WHOLE = ("batch_size=null", "max_steps=3", "seed=1")
DECAY = {"weight_decay": 0.125}


@dataclass(frozen=True)
class LawCase:
    """A law at work on one choice of hyperparameters.

    Attributes:
        name: what is told of it.
        optimizer: its name in conf/optimizer.
        values: hyperparameters that are not those of conf/optimizer.
        clip: numbers of the clipping by name, where there is one of the kind `clip_kind`.
        others: further overrides, the same on both sides.
    """

    name: str
    optimizer: str
    values: Values
    clip_kind: str | None = None
    clip: Mapping[str, float] = field(default_factory=dict)
    others: tuple[str, ...] = ()

    @property
    def map(self) -> str:
        """What the law does, e.g. ``lr·c⁻¹, weight_decay·c``; of what is not 0."""
        values = defaults(self.optimizer) | self.values
        told = [
            f"{name}·c{SUPERSCRIPT[n]}"
            for name, n in exponents(self.optimizer, values).items()
            if values[name]
        ]
        told += [f"clip.{name}·c" for name in self.clip]
        return ", ".join(told) or "nothing"

    def overrides(self, c: float) -> list[str]:
        """The training whose gradient is c times that of c = 1, and whose weights are the same."""
        values = rescaled_hyperparameters(
            self.optimizer, {**defaults(self.optimizer), **self.values}, c
        )
        changed = {*self.values, *exponents(self.optimizer, values)}
        lines = [f"optimizer={self.optimizer}", f"objective.scale={c!r}", *self.others]
        lines += [f"optimizer.{name}={_text(values[name])}" for name in sorted(changed)]
        if self.clip_kind is not None:
            lines.append(f"clip={self.clip_kind}")
            lines += [
                f"clip.{name}={number * c ** CLIP_EXPONENTS[name]!r}"
                for name, number in self.clip.items()
            ]
        return lines


@dataclass(frozen=True)
class Control:
    """Two trainings of which one has ½ of the gradient, and that no law makes equal.

    Attributes:
        name: what is told of it.
        reference, halved: overrides of the two.
        equal_if_purely_complex: whether they are equal in a network without real parameters.
    """

    name: str
    reference: tuple[str, ...]
    halved: tuple[str, ...]
    equal_if_purely_complex: bool = False


SUPERSCRIPT = {-1: "⁻¹", 1: "", 2: "²"}

LAW_CASES = (
    LawCase("SGD", "sgd", {"lr": 0.001953125}),
    LawCase("SGD with weight decay", "sgd", {"lr": 0.001953125} | DECAY),
    LawCase(
        "SGD, momentum and dampening",
        "sgd_momentum",
        {"lr": 0.0009765625, "momentum": 0.9, "dampening": 0.3} | DECAY,
    ),
    LawCase(
        "SGD, Nesterov",
        "sgd_momentum",
        {"lr": 0.000244140625, "momentum": 0.9, "nesterov": True} | DECAY,
    ),
    LawCase("Adam", "adam", {"lr": 0.0009765625, "eps": 1e-3}),
    LawCase("Adam with weight decay", "adam", {"lr": 0.0009765625, "eps": 1e-3} | DECAY),
    LawCase("AMSGrad", "amsgrad", {"lr": 0.0009765625, "eps": 1e-3} | DECAY),
    LawCase(
        "Adam, decoupled decay",
        "adam",
        {"lr": 0.0009765625, "eps": 1e-3, "decoupled_weight_decay": True} | DECAY,
    ),
    LawCase("AdamW", "adamw", {"lr": 0.0009765625, "eps": 1e-3} | DECAY),
    LawCase(
        "Adam, modulus",
        "adam",
        {"lr": 0.0009765625, "eps": 1e-3},
        others=("optimizer.semantics=modulus",),
    ),
    LawCase("NAdam", "nadam", {"lr": 0.0009765625, "eps": 1e-3} | DECAY),
    LawCase("Adamax", "adamax", {"lr": 0.0009765625, "eps": 1e-3} | DECAY),
    LawCase("RMSprop", "rmsprop", {"lr": 0.00048828125, "eps": 1e-3} | DECAY),
    LawCase(
        "RMSprop, centered, momentum",
        "rmsprop",
        {"lr": 0.00024414062, "eps": 1e-2, "centered": True, "momentum": 0.5} | DECAY,
    ),
    LawCase(
        "Adagrad",
        "adagrad",
        {"lr": 0.00390625, "eps": 1e-3, "initial_accumulator_value": 0.01} | DECAY,
    ),
    LawCase("Adadelta", "adadelta", {"lr": 0.0625, "eps": 1e-4} | DECAY),
    LawCase("ASGD", "asgd", {"lr": 0.001953125, "lambd": 1e-2, "t0": 40.0} | DECAY),
    LawCase("Rprop", "rprop", {"lr": 0.0001220703125}),
    LawCase("Lion", "lion", {"lr": 0.000244140625} | DECAY),
    LawCase("signSGD", "signsgd", {"lr": 0.000244140625, "momentum": 0.5}),
    LawCase("Muon", "muon", {"lr": 0.00390625, "eps": 1e-3}),
    LawCase("L-BFGS", "lbfgs", {"tolerance_grad": 1e-4, "tolerance_change": 1e-9}, others=WHOLE),
    LawCase("clip by norm", "sgd", {"lr": 0.001953125}, "norm", {"threshold": 0.25, "eps": 1e-6}),
    LawCase("clip by modulus", "sgd", {"lr": 0.001953125}, "modulus", {"threshold": 0.01}),
    LawCase("clip Re and Im", "sgd", {"lr": 0.001953125}, "split", {"threshold": 0.01}),
    LawCase("cosine schedule", "sgd", {"lr": 0.001953125}, others=("scheduler=cosine",)),
)
"""At learning rates where training is not chaotic, so that rounding stays rounding for c = ⅓."""

WOLFE = ("optimizer=lbfgs", "optimizer.line_search_fn=strong_wolfe", *WHOLE)
CONTROLS = (
    Control(
        "coupled weight decay kept",
        ("optimizer=sgd", "optimizer.lr=0.0625", "optimizer.weight_decay=0.25"),
        (
            "optimizer=sgd",
            "optimizer.lr=0.125",
            "optimizer.weight_decay=0.25",
            "objective.scale=0.5",
        ),
    ),
    Control(
        "eps kept at 0.1",
        ("optimizer=adam", "optimizer.eps=0.1"),
        ("optimizer=adam", "optimizer.eps=0.1", "objective.scale=0.5"),
    ),
    Control(
        "clip threshold kept",
        ("optimizer=sgd", "optimizer.lr=0.0625", "clip=norm", "clip.threshold=0.2"),
        (
            "optimizer=sgd",
            "optimizer.lr=0.125",
            "clip=norm",
            "clip.threshold=0.2",
            "objective.scale=0.5",
        ),
    ),
    Control(
        "RAdam by the nearest map",
        ("optimizer=radam", "optimizer.eps=1e-3"),
        ("optimizer=radam", "optimizer.eps=5e-4", "objective.scale=0.5"),
    ),
    Control(
        "complex gradients halved, one learning rate",
        ("optimizer=sgd", "optimizer.lr=0.046875"),
        ("optimizer=sgd", "optimizer.lr=0.09375", "convention=wirtinger"),
        equal_if_purely_complex=True,
    ),
    Control(
        "L-BFGS line search, gradients halved",
        WOLFE,
        (
            *WOLFE,
            "optimizer.tolerance_grad=5e-8",
            "optimizer.tolerance_change=5e-10",
            "convention=wirtinger",
        ),
    ),
    Control(
        "L-BFGS, tolerances kept",
        ("optimizer=lbfgs", "optimizer.tolerance_grad=0.1", *WHOLE),
        ("optimizer=lbfgs", "optimizer.tolerance_grad=0.1", "objective.scale=0.5", *WHOLE),
    ),
)


def variants() -> list[list[str]]:
    """Every training as overrides; the one named ``variant`` says which it is."""
    found = [
        [*each.overrides(c), variant(each.name, c)]
        for each in LAW_CASES
        for c in (1.0, *EXACT_FACTORS, ROUNDING_FACTOR)
    ]
    for control in CONTROLS:
        found += [
            [*control.reference, variant(control.name, 1.0)],
            [*control.halved, variant(control.name, 0.5)],
        ]
    return found


def variant(name: str, c: float) -> str:
    """The override that names a training: what it shows, and the factor."""
    return f"variant='{name}; c={c:.4g}'"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value)
