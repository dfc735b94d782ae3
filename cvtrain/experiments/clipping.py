"""Half of the loss under clipping: the law halves the threshold too."""

from __future__ import annotations

from cvtrain.experiments.claims import outcome_claim
from cvtrain.experiments.interaction import (
    HALF_LOSS,
    Arm,
    Setting,
    hyperparameters,
    interaction_experiment,
)
from cvtrain.laws.table import CLIP_EXPONENTS


def _clip(kind: str, threshold: float) -> Setting:
    def clipped(c: float) -> tuple[str, ...]:
        numbers = {"threshold": threshold} | ({"eps": 1e-6} if kind == "norm" else {})
        scaled = {name: value * c ** CLIP_EXPONENTS[name] for name, value in numbers.items()}
        return (f"clip={kind}", *(f"clip.{name}={value!r}" for name, value in scaled.items()))

    plain, doubled = hyperparameters("sgd", {}), hyperparameters("sgd", {}, 0.5)
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


SETTINGS = (
    *(_clip("norm", threshold) for threshold in (0.0625, 0.5, 16.0)),
    *(_clip("modulus", threshold) for threshold in (0.0009765625, 0.0078125)),
    *(_clip("split", threshold) for threshold in (0.0009765625, 0.0078125)),
)

EXPERIMENT = interaction_experiment(
    "clipping",
    SETTINGS,
    quick=("seed=0,1", "max_steps=20"),
    claims=(
        outcome_claim(
            "If every step is clipped, twice the rate with the threshold unchanged is better.",
            "clipping",
            ("clip=modulus at 0.000976562", "½ loss, lr doubled, threshold kept"),
            above=0.0,
        ),
    ),
)
