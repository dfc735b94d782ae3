"""Half of the loss under schedules, which multiply the learning rate and leave each law
unchanged."""

from __future__ import annotations

from collections.abc import Sequence

from cvtrain.experiments.claims import outcome_claim
from cvtrain.experiments.interaction import (
    HALF_LOSS,
    Arm,
    Setting,
    hyperparameters,
    interaction_experiment,
)


def _schedule(optimizer: str, name: str, overrides: Sequence[str]) -> Setting:
    values = {"eps": 1e-4} if optimizer == "adam" else {}
    plain = hyperparameters(optimizer, values)
    return Setting(
        f"{optimizer}, scheduler={name}",
        (f"optimizer={optimizer}", f"scheduler={name}", *overrides),
        plain,
        (
            Arm("½ loss, all kept", (HALF_LOSS, *plain), False),
            Arm("½ loss, rescaled", (HALF_LOSS, *hyperparameters(optimizer, values, 0.5)), True),
        ),
    )


SETTINGS = tuple(
    _schedule(optimizer, name, overrides)
    for optimizer in ("sgd", "adam")
    for name, overrides in (
        ("cosine", ("scheduler.warmup_steps=20", "scheduler.final_factor=0.01")),
        ("warmup", ("scheduler.steps=50",)),
        ("step", ("scheduler.every=100", "scheduler.factor=0.3")),
        ("exponential", ("scheduler.every=100", "scheduler.factor=0.5")),
    )
)

EXPERIMENT = interaction_experiment(
    "schedules",
    SETTINGS,
    quick=("seed=0,1", "max_steps=20"),
    claims=(
        outcome_claim(
            "SGD with a cosine schedule is worse if nothing is rescaled.",
            "schedules",
            ("sgd, scheduler=cosine", "½ loss, all kept"),
            below=0.0,
        ),
    ),
)
