"""Optimizers for complex parameters: pure update rules and their torch.optim faces."""

from cvtrain.optim.adagrad import Adagrad, AdagradRule
from cvtrain.optim.adam import Adam, AdamRule, AdamW
from cvtrain.optim.rmsprop import RMSprop, RMSpropRule
from cvtrain.optim.rule import Hyperparameters, Rule, RuleOptimizer, Semantics, State
from cvtrain.optim.sgd import SGD, SGDRule

__all__ = [
    "SGD",
    "Adagrad",
    "AdagradRule",
    "Adam",
    "AdamRule",
    "AdamW",
    "Hyperparameters",
    "RMSprop",
    "RMSpropRule",
    "Rule",
    "RuleOptimizer",
    "SGDRule",
    "Semantics",
    "State",
]
