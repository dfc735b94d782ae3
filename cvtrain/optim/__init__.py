"""Optimizers for complex parameters: pure update rules and their torch.optim classes."""

from cvtrain.optim.adadelta import Adadelta
from cvtrain.optim.adagrad import Adagrad
from cvtrain.optim.adam import Adam, AdamW
from cvtrain.optim.adamax import Adamax
from cvtrain.optim.asgd import ASGD
from cvtrain.optim.lion import Lion, SignSGD
from cvtrain.optim.muon import Muon
from cvtrain.optim.nadam import NAdam
from cvtrain.optim.radam import RAdam
from cvtrain.optim.rmsprop import RMSprop
from cvtrain.optim.rprop import Rprop
from cvtrain.optim.rule import Hyperparameters, Rule
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.semantics import Semantics, State
from cvtrain.optim.sgd import SGD

__all__ = [
    "ASGD",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Hyperparameters",
    "Lion",
    "Muon",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "Rule",
    "RuleOptimizer",
    "Semantics",
    "SignSGD",
    "State",
]
