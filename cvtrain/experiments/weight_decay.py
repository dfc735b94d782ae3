"""Half of the loss and weight decay: the law halves a coupled decay and keeps a decoupled one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cvtrain.experiments.claims import outcome_claim
from cvtrain.experiments.interaction import (
    HALF_LOSS,
    RATES,
    Arm,
    Setting,
    hyperparameters,
    interaction_experiment,
)
from cvtrain.laws.table import exponents, rescaled_hyperparameters


def _decay(optimizer: str, decay: float) -> Setting:
    values = {"weight_decay": decay}
    law = {**rescaled_hyperparameters(optimizer, {"lr": RATES[optimizer], **values}, 0.5)}
    values_kept = hyperparameters(optimizer, {"lr": law["lr"], "weight_decay": decay, **_eps(law)})
    coupled = "weight_decay" in exponents(optimizer, law)
    arms = [Arm("½ loss, decay kept", (HALF_LOSS, *values_kept), not coupled)]
    if coupled:
        arms.append(
            Arm("½ loss, decay halved", (HALF_LOSS, *hyperparameters(optimizer, values, 0.5)), True)
        )
    return Setting(
        f"{optimizer}, weight_decay = {decay:g}",
        (f"optimizer={optimizer}",),
        hyperparameters(optimizer, values),
        tuple(arms),
    )


def _eps(law: Mapping[str, Any]) -> dict[str, Any]:
    return {"eps": law["eps"]} if "eps" in law else {}


SETTINGS = tuple(
    _decay(optimizer, decay)
    for optimizer in ("sgd", "adam", "adamw")
    for decay in (0.0009765625, 0.0078125, 0.0625)
)

EXPERIMENT = interaction_experiment(
    "weight_decay",
    SETTINGS,
    quick=("seed=0,1", "max_steps=20"),
    claims=(
        outcome_claim(
            "Adam is worse if a coupled weight decay is kept unchanged.",
            "weight_decay",
            ("adam, weight_decay = 0.0625", "½ loss, decay kept"),
            below=0.0,
        ),
    ),
)
