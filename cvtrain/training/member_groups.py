"""The hyperparameters of an optimizer over K networks, as numbers for each network."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from cvtrain.optim import RuleOptimizer


class MemberGroups:
    """Parameter groups of an optimizer over K networks, in the form of K optimizers.

    Each group of the optimizer occurs K times, with the hyperparameters of one network as Python
    numbers and its index as ``name``. Code that reads numbers from `param_groups`, such as
    Lightning's ``LearningRateMonitor``, can use them.

    Args:
        optimizer: optimizer over stacked parameters.
        members: number of networks, K.
    """

    def __init__(self, optimizer: RuleOptimizer, members: int) -> None:
        self._optimizer = optimizer
        self._members = members

    @property
    def defaults(self) -> dict[str, Any]:
        """The defaults of the optimizer."""
        return self._optimizer.defaults

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The optimizer's groups K times, grouped by network, without `params`."""
        groups = self._optimizer.param_groups
        suffixes = [f"/pg{number}" for number in range(1, len(groups) + 1)]
        return [
            {
                **{key: _number_of(value, k) for key, value in group.items() if key != "params"},
                "name": f"{k}{suffix if len(groups) > 1 else ''}",
            }
            for k in range(self._members)
            for group, suffix in zip(groups, suffixes, strict=True)
        ]


def member_groups(optimizer: RuleOptimizer, members: int) -> MemberGroups:
    """`MemberGroups` in a class with the optimizer's name, from which Lightning makes its tags."""
    groups = MemberGroups(optimizer, members)
    groups.__class__ = type(type(optimizer).__name__, (MemberGroups,), {})
    return groups


def _number_of(value: Any, member: int) -> Any:
    """Entry of one network, of a tensor [K] or [], or of a tuple of such."""
    if isinstance(value, tuple):
        return tuple(_number_of(entry, member) for entry in value)
    if isinstance(value, Tensor):
        return value.reshape(-1)[member if value.numel() > 1 else 0].item()
    return value
