"""Learning rate × loss scale × convention × optimizer: the experiment to start with."""

import math

from cvtrain.analysis.registration import UNCHANGED
from cvtrain.experiments.claims import Claim, curve_estimate, equal_pairs
from cvtrain.experiments.registry import Experiment

HALF_LOSS, HALF_GRADIENT = "scale ½, pytorch", "scale 1, wirtinger"

EXPERIMENT = Experiment(
    quick=("seed=0,1", "lr_octave=-1,0,1", "max_steps=20"),
    claims=(
        Claim("SGD with half the loss equals SGD at half the rate.", equal_pairs("SGD", HALF_LOSS)),
        Claim(
            "Halving complex gradients moves SGD's curve, by less than an octave.",
            curve_estimate("SGD", HALF_GRADIENT, "shift"),
            *(0.0, 1.0, "octaves"),
        ),
        Claim(
            "After this move SGD's test loss is the same within 5 %.",
            curve_estimate("SGD", HALF_GRADIENT, "rest"),
            *(-math.log(1.05), math.log(1.05), "%", 100.0, "+.1f"),
        ),
        Claim(
            "Halving complex gradients does not move Adam's curve.",
            curve_estimate("Adam", HALF_GRADIENT, "shift"),
            *(-UNCHANGED, UNCHANGED, "octaves"),
        ),
    ),
)
