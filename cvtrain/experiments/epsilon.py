"""Half of the loss and eps: Adam, RMSprop and Adadelta absorb the factor in it."""

from __future__ import annotations

from cvtrain.experiments.claims import outcome_claim
from cvtrain.experiments.interaction import (
    HALF_LOSS,
    Arm,
    Setting,
    hyperparameters,
    interaction_experiment,
)


def _epsilon(optimizer: str, eps: float) -> Setting:
    values = {"eps": eps}
    return Setting(
        f"{optimizer}, eps = {eps:g}",
        (f"optimizer={optimizer}",),
        hyperparameters(optimizer, values),
        (
            Arm("½ loss, eps kept", (HALF_LOSS, *hyperparameters(optimizer, values)), None),
            Arm("½ loss, eps scaled", (HALF_LOSS, *hyperparameters(optimizer, values, 0.5)), True),
        ),
    )


SETTINGS = tuple(
    _epsilon(optimizer, eps)
    for optimizer in ("adam", "rmsprop", "adadelta")
    for eps in (1e-8, 1e-4, 1e-2)
)

EXPERIMENT = interaction_experiment(
    "epsilon",
    SETTINGS,
    quick=("seed=0,1", "max_steps=20"),
    claims=(
        outcome_claim(
            "RMSprop is worse if a large eps is kept unchanged.",
            "epsilon",
            ("rmsprop, eps = 0.01", "½ loss, eps kept"),
            below=0.0,
        ),
        outcome_claim(
            "Adam is as good if its usual eps is kept unchanged.",
            "epsilon",
            ("adam, eps = 1e-08", "½ loss, eps kept"),
            above=-0.005,
            below=0.005,
        ),
    ),
)
