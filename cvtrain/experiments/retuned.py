"""The experiment `retuned`: does a factor on the gradient still vanish if momentum, decay, clipping
and eps stay as they are and the learning rate alone is retuned?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from cvtrain.analysis.compare import compare
from cvtrain.analysis.load import Sweep
from cvtrain.analysis.registration import UNCHANGED
from cvtrain.analysis.verdict import decide
from cvtrain.experiments import interaction
from cvtrain.experiments.claims import Claim, row_estimate
from cvtrain.experiments.registry import Experiment, variants_override
from cvtrain.laws.table import CLIP_EXPONENTS, exponents
from cvtrain.report.document import Document, Picture, Section
from cvtrain.report.retuned import (
    HALF_LOSS,
    Retuned,
    arm_in_words,
    caption,
    describe,
    retuned_figure,
    retuned_table,
)

CHOICES: Mapping[str, Mapping[str, float]] = {
    "momentum": {"momentum": 0.9},
    "decay": {"weight_decay": 2**-5},
    "clip": {"threshold": 1.0},
}
"""What SGD may have in addition, alone and combined."""


@dataclass(frozen=True)
class Kept:
    """A setting whose hyperparameters, except the learning rate, stay as they are in every arm.

    Attributes:
        name: name of the setting.
        optimizer: its name in conf/optimizer.
        lr: learning rate at octave 0.
        values: hyperparameters that are not at their defaults; `threshold` is that of a clipped
            norm.
    """

    name: str
    optimizer: str
    lr: float
    values: Mapping[str, float] = field(default_factory=dict)

    @property
    def overrides(self) -> list[str]:
        """Overrides of all its arms."""
        clip = ["clip=norm"] if "threshold" in self.values else []
        return [
            f"variant='{self.name}'",
            *(f"optimizer={self.optimizer}", f"optimizer.reference_lr={self.lr!r}", *clip),
            *(
                f"{'clip' if name == 'threshold' else 'optimizer'}.{name}={value!r}"
                for name, value in self.values.items()
            ),
        ]

    @property
    def twin(self) -> str:
        """The hyperparameters, relative to these, with which the reference trains like half of the
        loss: those of the law that are not 0, in words."""
        powers = {**CLIP_EXPONENTS, **exponents(self.optimizer, {})}
        kept = {"lr": self.lr, **self.values}
        changed = [
            f"{_WORDS.get(name, name)} × {0.5 ** -powers[name]:g}"
            for name, value in kept.items()
            if value and powers.get(name)
        ]
        return ", ".join(changed).replace("0.5", "½") or "the same"


_WORDS = {"weight_decay": "decay"}


def _descent() -> Iterator[Kept]:
    for number in range(len(CHOICES) + 1):
        for chosen in combinations(CHOICES, number):
            values = {name: value for choice in chosen for name, value in CHOICES[choice].items()}
            lr = 2**-6 if "momentum" in chosen else 2**-3
            yield Kept(", ".join(("SGD", *chosen)), "sgd", lr, values)


SETTINGS = (
    *_descent(),
    Kept("Adam", "adam", 2**-8, {"eps": 1e-8}),
    Kept("Adam, eps 1e-2", "adam", 2**-7, {"eps": 1e-2}),
    Kept("Adam, decay", "adam", 2**-8, {"weight_decay": 2**-5, "eps": 1e-8}),
    Kept("Adam, clip", "adam", 2**-8, {"threshold": 1.0, "eps": 1e-8}),
    Kept("AdamW, decay", "adamw", 2**-8, {"weight_decay": 2**-5, "eps": 1e-8}),
)


def variants() -> list[list[str]]:
    """Overrides of each arm of each setting: the reference, half of the loss, half of the complex
    gradients."""
    arms: tuple[tuple[str, ...], ...] = ((), (interaction.HALF_LOSS,), (interaction.HALF_GRADIENT,))
    return [[*kept.overrides, *arm] for kept in SETTINGS for arm in arms]


def retuned(sweep: Sweep) -> list[Retuned]:
    """Every arm of every setting, by arm."""
    twins = {kept.name: kept.twin for kept in SETTINGS}
    compared = compare(sweep)
    settings = dict(zip(compared.runs["group"], compared.runs["variant"], strict=True))
    rows = []
    for (group, arm), answer in decide(compared.groups).items():
        setting = str(settings[group])
        twin = twins.get(setting, "") if arm == HALF_LOSS else ""
        rows.append(Retuned(setting, arm, twin, answer))
    return sorted(rows, key=lambda row: row.arm != HALF_LOSS)


def report_retuned(sweep: Sweep) -> Document:
    """Report by how much the learning rate of each arm moves, and whether the result is then that
    of the reference."""
    rows = retuned(sweep)
    arms = list(dict.fromkeys(row.arm for row in rows))
    return Document(
        title="Does the factor 2 vanish if the learning rate alone is retuned?",
        verdict=tuple(describe(rows)),
        cover=Picture(
            "retuned",
            "Octaves by which the learning rate moves while all else is kept",
            retuned_figure(rows),
            caption(rows),
        )
        if rows
        else None,
        sections=tuple(
            Section(
                arm_in_words(arm).capitalize(),
                tables=(retuned_table(arm, [row for row in rows if row.arm == arm]),),
            )
            for arm in arms
        ),
    )


EXPERIMENT = Experiment(
    report_retuned,
    variants,
    quick=(
        variants_override(variants()[:3]),
        *("seed=0,1", "lr_octave=-1,0", "max_steps=10", "signals.validation_every=10"),
    ),
    claims=(
        Claim(
            "With a kept threshold on the norm half of the loss moves SGD's rate by less than 0.9.",
            row_estimate("half_loss", {"setting": "SGD, clip"}, "octaves"),
            *(0.5, 0.9, "octaves"),
        ),
        Claim(
            "With a kept coupled decay half of the loss moves Adam's rate by ⅓ to ¾ of an octave.",
            row_estimate("half_loss", {"setting": "Adam, decay"}, "octaves"),
            *(1 / 3, 3 / 4, "octaves"),
        ),
        Claim(
            "At the moved rate Adam's test loss is then more than 5 % higher.",
            row_estimate("half_loss", {"setting": "Adam, decay"}, "rest"),
            above=0.05,
            unit="%",
            scale=100.0,
            form="+.1f",
        ),
        Claim(
            "AdamW's rate, with its decoupled decay, stays.",
            row_estimate("half_loss", {"setting": "AdamW, decay"}, "octaves"),
            *(-UNCHANGED, UNCHANGED, "octaves"),
        ),
    ),
)
