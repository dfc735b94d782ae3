"""The result at each arm's best learning rate, with as many seeds as an answer needs."""

from cvtrain.experiments.claims import Claim, best_rate_estimate, equal_pairs
from cvtrain.experiments.registry import Experiment
from cvtrain.experiments.sweep import HALF_GRADIENT, HALF_LOSS

EXPERIMENT = Experiment(
    quick=("seed=range(0,12)", "lr_octave=0,1", "max_steps=10"),
    claims=(
        Claim("SGD with half the loss equals SGD at half the rate.", equal_pairs("SGD", HALF_LOSS)),
        *(
            Claim(
                f"{optimizer} with halved complex gradients is as good, within one point.",
                best_rate_estimate(optimizer, HALF_GRADIENT),
                *(-0.01, 0.01, "points", 100.0),
            )
            for optimizer in ("SGD", "Adam")
        ),
    ),
)
