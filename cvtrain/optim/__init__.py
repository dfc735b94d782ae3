"""Optimizers for complex parameters: pure update rules and their torch.optim faces."""

from cvtrain.optim.adam import Adam, AdamRule, AdamW
from cvtrain.optim.rule import Hyperparameters, Rule, RuleOptimizer, Semantics, State
from cvtrain.optim.sgd import SGD, SGDRule

__all__ = [
    "SGD",
    "Adam",
    "AdamRule",
    "AdamW",
    "Hyperparameters",
    "Rule",
    "RuleOptimizer",
    "SGDRule",
    "Semantics",
    "State",
]
