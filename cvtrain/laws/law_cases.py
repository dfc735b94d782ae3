"""Pairs of trainings that a law makes equal, and controls that must differ.

Each training is a list of overrides for `cvtrain`; the experiment `laws` trains them all. The
gradient's factor c is set by ``objective.scale``, which acts on all parameters alike.
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
    """A law applied to one choice of hyperparameters.

    Attributes:
        name: name in the report.
        optimizer: its name in conf/optimizer.
        values: hyperparameters that differ from conf/optimizer.
        clip: numbers of the clipping by name, if there is clipping of the kind `clip_kind`.
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
        """The effect of the law on hyperparameters that are not 0, e.g. ``lr·c⁻¹,
        weight_decay·c``."""
        values = defaults(self.optimizer) | self.values
        factors = [
            f"{name}·c{SUPERSCRIPT[n]}"
            for name, n in exponents(self.optimizer, values).items()
            if values[name]
        ]
        factors += [f"clip.{name}·c" for name in self.clip]
        return ", ".join(factors) or "nothing"

    def overrides(self, c: float) -> list[str]:
        """Overrides of the training whose gradient is multiplied by c and whose weights equal those
        of c = 1."""
        values = rescaled_hyperparameters(
            self.optimizer, {**defaults(self.optimizer), **self.values}, c
        )
        changed = {*self.values, *exponents(self.optimizer, values)}
        overrides = [f"optimizer={self.optimizer}", f"objective.scale={c!r}", *self.others]
        overrides += [f"optimizer.{name}={_text(values[name])}" for name in sorted(changed)]
        if self.clip_kind is not None:
            overrides.append(f"clip={self.clip_kind}")
            overrides += [
                f"clip.{name}={number * c ** CLIP_EXPONENTS[name]!r}"
                for name, number in self.clip.items()
            ]
        return overrides


@dataclass(frozen=True)
class Control:
    """Two trainings, one with half of the gradient, that no law makes equal.

    Attributes:
        name: name in the report.
        reference, halved: overrides of the two trainings.
        equal_if_purely_complex: whether they are equal in a network without real parameters.
    """

    name: str
    reference: tuple[str, ...]
    halved: tuple[str, ...]
    equal_if_purely_complex: bool = False


SUPERSCRIPT = {-1: "⁻¹", 1: "", 2: "²"}

MOMENTUM = {"momentum": 0.9}
ADAM = {"lr": 2**-10, "eps": 1e-3}
SGD = {"lr": 2**-9}
LAW_CASES = (
    LawCase("SGD", "sgd", SGD),
    LawCase("SGD with weight decay", "sgd", SGD | DECAY),
    LawCase(
        "SGD, momentum and dampening",
        "sgd_momentum",
        {"lr": 2**-10, "dampening": 0.3} | MOMENTUM | DECAY,
    ),
    LawCase("SGD, Nesterov", "sgd_momentum", {"lr": 2**-12, "nesterov": True} | MOMENTUM | DECAY),
    LawCase("Adam", "adam", ADAM),
    LawCase("Adam with weight decay", "adam", ADAM | DECAY),
    LawCase("AMSGrad", "amsgrad", ADAM | DECAY),
    LawCase("Adam, decoupled decay", "adam", {"decoupled_weight_decay": True} | ADAM | DECAY),
    LawCase("AdamW", "adamw", ADAM | DECAY),
    LawCase("Adam, modulus", "adam", ADAM, others=("optimizer.semantics=modulus",)),
    LawCase("NAdam", "nadam", ADAM | DECAY),
    LawCase("Adamax", "adamax", ADAM | DECAY),
    LawCase("RMSprop", "rmsprop", {"lr": 2**-11, "eps": 1e-3} | DECAY),
    LawCase(
        "RMSprop, centered, momentum",
        "rmsprop",
        {"lr": 0.00024414062, "eps": 1e-2, "centered": True, "momentum": 0.5} | DECAY,
    ),
    LawCase(
        "Adagrad", "adagrad", {"lr": 2**-8, "eps": 1e-3, "initial_accumulator_value": 0.01} | DECAY
    ),
    LawCase("Adadelta", "adadelta", {"lr": 2**-4, "eps": 1e-4} | DECAY),
    LawCase("ASGD", "asgd", {"lr": 2**-9, "lambd": 1e-2, "t0": 40.0} | DECAY),
    LawCase("Rprop", "rprop", {"lr": 2**-13}),
    LawCase("Lion", "lion", {"lr": 2**-12} | DECAY),
    LawCase("signSGD", "signsgd", {"lr": 2**-12, "momentum": 0.5}),
    LawCase("Muon", "muon", {"lr": 2**-8, "eps": 1e-3}),
    LawCase("L-BFGS", "lbfgs", {"tolerance_grad": 1e-4, "tolerance_change": 1e-9}, others=WHOLE),
    LawCase("clip by norm", "sgd", SGD, "norm", {"threshold": 0.25, "eps": 1e-6}),
    LawCase("clip by modulus", "sgd", SGD, "modulus", {"threshold": 0.01}),
    LawCase("clip Re and Im", "sgd", SGD, "split", {"threshold": 0.01}),
    LawCase("cosine schedule", "sgd", SGD, others=("scheduler=cosine",)),
)
"""The cases, at learning rates at which training is not chaotic, so that rounding errors for c = ⅓
do not grow."""

HALF_OBJECTIVE = ("objective.scale=0.5",)
HALF_GRADIENT = ("convention=wirtinger",)
SGD_DECAY = ("optimizer=sgd", "optimizer.weight_decay=0.25")
SGD_CLIP = ("optimizer=sgd", "clip=norm", "clip.threshold=0.2")
WOLFE = ("optimizer=lbfgs", "optimizer.line_search_fn=strong_wolfe", *WHOLE)
LBFGS = ("optimizer=lbfgs", "optimizer.tolerance_grad=0.1", *WHOLE)
HALF_TOLERANCES = ("optimizer.tolerance_grad=5e-8", "optimizer.tolerance_change=5e-10")
CONTROLS = (
    Control(
        "coupled weight decay kept",
        (*SGD_DECAY, "optimizer.lr=0.0625"),
        (*SGD_DECAY, "optimizer.lr=0.125", *HALF_OBJECTIVE),
    ),
    Control(
        "eps kept at 0.1",
        ("optimizer=adam", "optimizer.eps=0.1"),
        ("optimizer=adam", "optimizer.eps=0.1", *HALF_OBJECTIVE),
    ),
    Control(
        "clip threshold kept",
        (*SGD_CLIP, "optimizer.lr=0.0625"),
        (*SGD_CLIP, "optimizer.lr=0.125", *HALF_OBJECTIVE),
    ),
    Control(
        "RAdam by the nearest map",
        ("optimizer=radam", "optimizer.eps=1e-3"),
        ("optimizer=radam", "optimizer.eps=5e-4", *HALF_OBJECTIVE),
    ),
    Control(
        "complex gradients halved, one learning rate",
        ("optimizer=sgd", "optimizer.lr=0.046875"),
        ("optimizer=sgd", "optimizer.lr=0.09375", *HALF_GRADIENT),
        equal_if_purely_complex=True,
    ),
    Control(
        "L-BFGS line search, gradients halved",
        WOLFE,
        (*WOLFE, *HALF_TOLERANCES, *HALF_GRADIENT),
    ),
    Control("L-BFGS, tolerances kept", LBFGS, (*LBFGS, *HALF_OBJECTIVE)),
)


def variants() -> list[list[str]]:
    """Every training as overrides; the override ``variant`` names it."""
    trainings = [
        [*case.overrides(c), variant(case.name, c)]
        for case in LAW_CASES
        for c in (1.0, *EXACT_FACTORS, ROUNDING_FACTOR)
    ]
    for control in CONTROLS:
        trainings += [
            [*control.reference, variant(control.name, 1.0)],
            [*control.halved, variant(control.name, 0.5)],
        ]
    return trainings


def variant(name: str, c: float) -> str:
    """The override that names a training by case and factor."""
    return f"variant='{name}; c={c:.4g}'"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value)
