"""Learning rate × loss scale × convention × optimizer: what everybody runs first."""

from cvtrain.experiments.registry import Experiment

EXPERIMENT = Experiment(quick=("seed=0,1", "lr_octave=-1,0,1", "max_steps=50"))
