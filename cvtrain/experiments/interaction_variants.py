"""Where half of the gradient meets something else: pairs of trainings, most of them with a law.

Each interaction is a list of settings; a setting has a reference and arms that train with half of
the loss, or of the complex gradients, and make up for it in one way or another. Every training is a
list of overrides for `python -m cvtrain`; the experiment of the interaction's name trains them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cvtrain.laws.table import CLIP_EXPONENTS, defaults, exponents, rescaled_hyperparameters
from cvtrain.process.errors import InputError

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


def interaction_variants(name: str) -> list[list[str]]:
    """Every training of an interaction as overrides; ``variant`` says which it is.

    Raises:
        InputError: there is no such interaction.
    """
    found = []
    for setting in interaction(name):
        arms = (Arm(REFERENCE, setting.reference, None), *setting.arms)
        for arm in arms:
            label = variant_label(name, setting.name, arm.name)
            found.append([*setting.common, *arm.overrides, f"variant='{label}'"])
    return found


def interaction(name: str) -> tuple[Setting, ...]:
    """The settings of an interaction.

    Raises:
        InputError: there is no such interaction.
    """
    if name not in INTERACTIONS:
        raise InputError(f"{name}: no such interaction; there are {', '.join(INTERACTIONS)}")
    return INTERACTIONS[name]


def variant_label(interaction_name: str, setting: str, arm: str) -> str:
    """What ``variant`` holds of a training; the parts stand in front of semicolons."""
    return f"{interaction_name}; {setting}; {arm}"


def _values(optimizer: str, values: Mapping[str, Any], c: float = 1.0) -> tuple[str, ...]:
    """Overrides of the hyperparameters that make up for a gradient times c, and of those given."""
    given = {"lr": RATES[optimizer], **values}
    scaled = rescaled_hyperparameters(optimizer, {**defaults(optimizer), **given}, c)
    changed = {*given, *exponents(optimizer, scaled)}
    return tuple(f"optimizer.{name}={scaled[name]!r}".lower() for name in sorted(changed))


def _decay(optimizer: str, decay: float) -> Setting:
    values = {"weight_decay": decay}
    law = {**rescaled_hyperparameters(optimizer, {"lr": RATES[optimizer], **values}, 0.5)}
    kept = _values(optimizer, {"lr": law["lr"], "weight_decay": decay, **_eps(law)})
    coupled = "weight_decay" in exponents(optimizer, law)
    arms = [Arm("½ loss, decay kept", (HALF_LOSS, *kept), not coupled)]
    if coupled:
        arms.append(
            Arm("½ loss, decay halved", (HALF_LOSS, *_values(optimizer, values, 0.5)), True)
        )
    return Setting(
        f"{optimizer}, weight_decay = {decay:g}",
        (f"optimizer={optimizer}",),
        _values(optimizer, values),
        tuple(arms),
    )


def _eps(law: Mapping[str, Any]) -> dict[str, Any]:
    return {"eps": law["eps"]} if "eps" in law else {}


def _clip(kind: str, threshold: float) -> Setting:
    def clipped(c: float) -> tuple[str, ...]:
        numbers = {"threshold": threshold} | ({"eps": 1e-6} if kind == "norm" else {})
        scaled = {name: value * c ** CLIP_EXPONENTS[name] for name, value in numbers.items()}
        return (f"clip={kind}", *(f"clip.{name}={value!r}" for name, value in scaled.items()))

    plain, doubled = _values("sgd", {}), _values("sgd", {}, 0.5)
    return Setting(
        f"clip={kind} at {threshold:g}",
        ("optimizer=sgd",),
        (*plain, *clipped(1.0)),
        (
            Arm("½ loss, lr doubled, threshold kept", (HALF_LOSS, *doubled, *clipped(1.0)), None),
            Arm("½ loss, lr and threshold kept", (HALF_LOSS, *plain, *clipped(1.0)), None),
            Arm("½ loss, lr doubled, threshold halved", (HALF_LOSS, *doubled, *clipped(0.5)), True),
        ),
    )


def _epsilon(optimizer: str, eps: float) -> Setting:
    values = {"eps": eps}
    return Setting(
        f"{optimizer}, eps = {eps:g}",
        (f"optimizer={optimizer}",),
        _values(optimizer, values),
        (
            Arm("½ loss, eps kept", (HALF_LOSS, *_values(optimizer, values)), None),
            Arm("½ loss, eps scaled", (HALF_LOSS, *_values(optimizer, values, 0.5)), True),
        ),
    )


def _mixed(optimizer: str, further: tuple[str, ...] = ()) -> Setting:
    plain, law = _values(optimizer, {}), _values(optimizer, {}, 0.5)
    changed = sorted(exponents(optimizer, defaults(optimizer)))
    values = rescaled_hyperparameters(optimizer, {"lr": RATES[optimizer]}, 1.0)
    own = tuple(f"optimizer.real_parameters.{name}={values[name]!r}" for name in changed)
    clipped = f", {further[0]}" if further else ""
    rescaled = " and ".join(name for name in changed if values[name])
    return Setting(
        f"{optimizer}{clipped}",
        (f"optimizer={optimizer}", *further),
        plain,
        (
            Arm(f"½ loss, {rescaled} rescaled", (HALF_LOSS, *law), None if further else True),
            Arm("½ of complex gradients, all kept", (HALF_GRADIENT, *plain), False),
            Arm(f"½ of complex gradients, {rescaled} rescaled", (HALF_GRADIENT, *law), False),
            Arm(
                f"½ of complex gradients, {rescaled} rescaled for them alone",
                (HALF_GRADIENT, *law, *own),
                None if further else True,
            ),
            Arm(CHAOS, (*plain, "init_jitter=1e-6"), None),
        ),
    )


def _schedule(optimizer: str, name: str, overrides: Sequence[str]) -> Setting:
    values = {"eps": 1e-4} if optimizer == "adam" else {}
    kept = _values(optimizer, values)
    return Setting(
        f"{optimizer}, scheduler={name}",
        (f"optimizer={optimizer}", f"scheduler={name}", *overrides),
        kept,
        (
            Arm("½ loss, all kept", (HALF_LOSS, *kept), False),
            Arm("½ loss, rescaled", (HALF_LOSS, *_values(optimizer, values, 0.5)), True),
        ),
    )


def _precision(dtype: str, optimizer: str) -> Setting:
    values = {"eps": 2.0**-20} if optimizer == "adam" else {}
    exact = {"complex64": 40, "complex128": 400}

    def arm(c: float, name: str, equal: bool | None) -> Arm:
        return Arm(
            f"loss × {name}, rescaled",
            (f"objective.scale={c!r}", *_values(optimizer, values, c)),
            equal,
        )

    # Squares of a gradient of 2^-60 leave float32's range (2^-126, denormal to 2^-149).
    powers = {"complex64": (1, 40, 60, 70, 120), "complex128": (1, 40, 400, 520, 600)}[dtype]
    squares = optimizer != "sgd"
    last = {"complex64": 70, "complex128": 600}[dtype]
    return Setting(
        f"{optimizer}, {dtype}",
        (f"optimizer={optimizer}", f"dtype={dtype}"),
        _values(optimizer, values),
        (
            *(
                arm(2.0**-k, f"2^-{k}", True if k <= (exact[dtype] if squares else last) else None)
                for k in powers
            ),
            arm(1 / 3, "⅓", False),
        ),
    )


def _dtypes(optimizer: str) -> Setting:
    plain = _values(optimizer, {})
    return Setting(
        f"{optimizer}, 100 steps",
        (f"optimizer={optimizer}", "max_steps=100"),
        ("dtype=complex128", *plain),
        (Arm("complex64 against complex128", ("dtype=complex64", *plain), False),),
    )


INTERACTIONS: dict[str, tuple[Setting, ...]] = {
    "weight_decay": tuple(
        _decay(optimizer, decay)
        for optimizer in ("sgd", "adam", "adamw")
        for decay in (0.0009765625, 0.0078125, 0.0625)
    ),
    "clipping": (
        *(_clip("norm", threshold) for threshold in (0.0625, 0.5, 16.0)),
        *(_clip("modulus", threshold) for threshold in (0.0009765625, 0.0078125)),
        *(_clip("split", threshold) for threshold in (0.0009765625, 0.0078125)),
    ),
    "epsilon": tuple(
        _epsilon(optimizer, eps)
        for optimizer in ("adam", "rmsprop", "adadelta")
        for eps in (1e-8, 1e-4, 1e-2)
    ),
    "mixed": (
        _mixed("sgd"),
        _mixed("adam"),
        _mixed("sgd", ("clip=norm", "clip.threshold=0.5")),
    ),
    "schedules": tuple(
        _schedule(optimizer, name, overrides)
        for optimizer in ("sgd", "adam")
        for name, overrides in (
            ("cosine", ("scheduler.warmup_steps=20", "scheduler.final_factor=0.01")),
            ("warmup", ("scheduler.steps=50",)),
            ("step", ("scheduler.every=100", "scheduler.factor=0.3")),
            ("exponential", ("scheduler.every=100", "scheduler.factor=0.5")),
        )
    ),
    "precision": (
        *(_dtypes(optimizer) for optimizer in ("sgd", "adam")),
        *(
            _precision(dtype, optimizer)
            for optimizer in ("sgd", "adam")
            for dtype in ("complex64", "complex128")
        ),
    ),
}
"""By the experiment's name."""
