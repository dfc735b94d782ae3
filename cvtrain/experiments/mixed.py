"""Half of the loss, or of complex gradients only, in a network that also has real parameters."""

from __future__ import annotations

from cvtrain.experiments.claims import outcome_claim
from cvtrain.experiments.interaction import (
    HALF_GRADIENT,
    HALF_LOSS,
    JITTERED,
    RATES,
    Arm,
    Setting,
    hyperparameters,
    interaction_experiment,
)
from cvtrain.laws.table import defaults, exponents, rescaled_hyperparameters


def _mixed(optimizer: str, further: tuple[str, ...] = ()) -> Setting:
    plain, law = hyperparameters(optimizer, {}), hyperparameters(optimizer, {}, 0.5)
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
            Arm(JITTERED, (*plain, "init_jitter=1e-6"), None),
        ),
    )


SETTINGS = (
    _mixed("sgd"),
    _mixed("adam"),
    _mixed("sgd", ("clip=norm", "clip.threshold=0.5")),
)

EXPERIMENT = interaction_experiment(
    "mixed",
    SETTINGS,
    quick=("seed=0,1", "max_steps=20"),
    claims=(
        outcome_claim(
            "Half of complex gradients at one rate costs less than 2 points.",
            "mixed",
            ("sgd", "½ of complex gradients, all kept"),
            above=-0.02,
            below=0.02,
        ),
    ),
)
