"""For each optimizer of torch the one here that has its rule."""

from __future__ import annotations

from collections.abc import Callable

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

OF_TORCH: dict[type[torch.optim.Optimizer], Callable[..., RuleOptimizer]] = {
    torch.optim.SGD: SGD,
    torch.optim.Adam: Adam,
    torch.optim.AdamW: AdamW,
    torch.optim.NAdam: NAdam,
    torch.optim.RAdam: RAdam,
    torch.optim.Adamax: Adamax,
    torch.optim.RMSprop: RMSprop,
    torch.optim.Adagrad: Adagrad,
    torch.optim.Adadelta: Adadelta,
    torch.optim.Rprop: Rprop,
    torch.optim.ASGD: ASGD,
}


def rule_optimizer(kind: type[torch.optim.Optimizer]) -> Callable[..., RuleOptimizer] | None:
    """The class with the rule of `kind`, itself where it has one, or None."""
    return kind if issubclass(kind, RuleOptimizer) else OF_TORCH.get(kind)
