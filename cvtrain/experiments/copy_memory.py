"""Does the factor 2 matter to the unitary recurrent network of Arjovsky et al. 2016?"""

from cvtrain.analysis.registration import UNCHANGED
from cvtrain.experiments.claims import Claim, curve_estimate
from cvtrain.experiments.registry import Experiment
from cvtrain.experiments.sweep import HALF_GRADIENT

EXPERIMENT = Experiment(
    claims=tuple(
        Claim(
            f"Halving complex gradients does not move {optimizer}'s curve.",
            curve_estimate(optimizer, HALF_GRADIENT, "shift"),
            *(-UNCHANGED, UNCHANGED, "octaves"),
        )
        for optimizer in ("RMSprop", "Adam")
    )
)
