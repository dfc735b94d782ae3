"""The outcome at each arm's best learning rate, with as many seeds as that takes."""

from cvtrain.experiments.registry import Experiment

EXPERIMENT = Experiment(quick=("seed=range(0,12)", "lr_octave=0,1", "max_steps=20"))
