"""Does the factor 2 matter to a complex U-Net that segments scenes of a polarimetric radar?"""

from cvtrain.experiments.claims import Claim, pairs_of_laws
from cvtrain.experiments.registry import Experiment

EXPERIMENT = Experiment(
    claims=(Claim("Runs that a law makes equal are equal, bit for bit.", pairs_of_laws),),
)
