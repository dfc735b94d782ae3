"""Does the factor 2 matter to a purely complex convolutional network on the spectra of MNIST?"""

from cvtrain.experiments.claims import Claim, best_rate_estimate, pairs_of_laws
from cvtrain.experiments.registry import Experiment
from cvtrain.experiments.sweep import HALF_GRADIENT

EXPERIMENT = Experiment(
    quick=(
        *("seed=0,1", "lr_octave=0,1", "max_steps=6"),
        *("data.train_samples=100", "data.validation_samples=20", "data.test_samples=40"),
    ),
    files=("data/mnist/t10k-images-idx3-ubyte", "data/mnist/t10k-labels-idx1-ubyte"),
    claims=(
        Claim("Runs that a law makes equal are equal on measured data.", pairs_of_laws),
        Claim(
            "Adam with halved gradients is as good, within one point.",
            best_rate_estimate("Adam", HALF_GRADIENT),
            *(-0.01, 0.01, "points", 100.0),
        ),
    ),
)
