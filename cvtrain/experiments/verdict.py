"""The sweep with seeds that choose learning rates, and others on which the outcome is compared."""

from cvtrain.experiments.registry import Experiment

EXPERIMENT = Experiment(
    quick=("seed=range(0,12)", "lr_octave=0,1", "max_steps=50", "report.tuning_seeds=2")
)
