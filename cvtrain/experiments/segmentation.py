"""Does the factor 2 matter to a complex U-Net that segments scenes of a polarimetric radar?"""

from cvtrain.analysis.registration import UNCHANGED
from cvtrain.experiments.claims import Claim, curve_estimate, pairs_of_laws
from cvtrain.experiments.registry import Experiment
from cvtrain.experiments.sweep import HALF_GRADIENT

EXPERIMENT = Experiment(
    claims=(
        Claim("Runs that a law makes equal are equal, bit for bit.", pairs_of_laws),
        Claim(
            "Halving complex gradients does not move Adam's curve.",
            curve_estimate("Adam", HALF_GRADIENT, "shift"),
            *(-UNCHANGED, UNCHANGED, "octaves"),
        ),
    ),
)
