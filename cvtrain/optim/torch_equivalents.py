"""The equivalents of torch's optimizers in cvtrain."""

from __future__ import annotations

import torch

from cvtrain.optim.adadelta import Adadelta
from cvtrain.optim.adagrad import Adagrad
from cvtrain.optim.adam import Adam, AdamW
from cvtrain.optim.adamax import Adamax
from cvtrain.optim.asgd import ASGD
from cvtrain.optim.nadam import NAdam
from cvtrain.optim.radam import RAdam
from cvtrain.optim.rmsprop import RMSprop
from cvtrain.optim.rprop import Rprop
from cvtrain.optim.rule_optimizer import RuleOptimizer
from cvtrain.optim.sgd import SGD

OF_TORCH: dict[type[torch.optim.Optimizer], type[RuleOptimizer]] = {
    getattr(torch.optim, optimizer.__name__): optimizer
    for optimizer in (
        *(SGD, Adam, AdamW, NAdam, RAdam, Adamax),
        *(RMSprop, Adagrad, Adadelta, Rprop, ASGD),
    )
}
"""Classes of cvtrain with the same rule, by class of torch; both have the same name."""


def rule_optimizer(optimizer: type[torch.optim.Optimizer]) -> type[RuleOptimizer] | None:
    """The class of cvtrain with the rule of `optimizer`: itself, its equivalent, or None."""
    return optimizer if issubclass(optimizer, RuleOptimizer) else OF_TORCH.get(optimizer)
