"""Update rules as optimizers of torch.optim."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, get_args, overload

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from cvtrain.gradients.stacked_number import on_host
from cvtrain.optim.rule import Hyperparameters, Rule
from cvtrain.optim.saved_state import SavedState
from cvtrain.optim.semantics import Semantics


class RuleOptimizer(Optimizer):
    """A rule as a torch.optim.Optimizer, for plain parameters or for a stack of K.

    A stacked parameter gets new memory at every step, so that what was read of it before stays as
    it was; a plain one is updated in place, as by any optimizer of torch.

    The hyperparameters live in `param_groups` under torch's names, the state has torch's keys and
    shapes. `p.grad` is read, never written. torch's learning rate schedulers need a learning rate
    that is a Python number; for [K] rates set ``group["lr"]`` (see `cvtrain.training.schedule`).

    Args:
        params: parameters, or parameter groups with hyperparameters of their own.
        rule: what a step computes.
        hyperparameters: Python numbers and bools; [K] tensors for a stack.
        stacked: whether every parameter carries the leading axis K already.

    Raises:
        ValueError: a hyperparameter out of range or NaN, or a tensor that does not fit the stack.
    """

    def __init__(
        self,
        params: ParamsT,
        rule: Rule,
        hyperparameters: Hyperparameters,
        *,
        stacked: bool = False,
    ) -> None:
        if rule.semantics not in get_args(Semantics):
            raise ValueError(f"semantics={rule.semantics!r}: should be split or modulus")
        self.rule = rule
        self.stacked = stacked
        super().__init__(params, dict(hyperparameters))

    @property
    def semantics(self) -> Semantics:
        """How a complex entry is treated: `split` or `modulus`."""
        return self.rule.semantics

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, its hyperparameters completed by the defaults and checked."""
        group = self.defaults | param_group
        super().add_param_group(group | {name: on_host(group[name]) for name in self.defaults})
        try:
            self.check_group(self.param_groups[-1])
        except ValueError:
            del self.param_groups[-1]
            raise

    def check_group(self, group: Mapping[str, Any]) -> None:
        """Raise ValueError for a hyperparameter out of range or NaN, or one that does not fit the
        stack."""
        self.rule.check(group)
        for p in group["params"]:
            if self.stacked and p.dim() == 0:
                raise ValueError("a stacked parameter needs a leading axis")
            members = p.shape[0] if self.stacked else 1
            for name in self.defaults:
                for number in _flat(group[name]):
                    if isinstance(number, Tensor) and number.numel() not in (1, members):
                        raise ValueError(
                            f"{name} has {number.numel()} values for {members} stacked members"
                        )

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update of every parameter that has a gradient.

        Args:
            closure: evaluates the objective again, with gradients, and returns it.

        Returns:
            What the closure returned.
        """
        objective = None
        if closure is not None:
            with torch.enable_grad():
                objective = closure()
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self._update(p, group)
        return objective

    def _update(self, p: Tensor, group: dict[str, Any]) -> None:
        assert p.grad is not None
        w = self._lift(p)
        before = {name: self._lift(t) for name, t in self.state.get(p, {}).items()}
        # A convention may hand over a lazily conjugated tensor, of which torch makes no real view.
        g = self._lift(p.grad.resolve_conj())
        w, after = self.rule.update(w, g, before or self.rule.init(w), group)
        if self.stacked:
            p.data = w
        else:
            p.copy_(self._drop(w))
        if after:
            self.state[p] = {name: self._drop(t) for name, t in after.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over hyperparameters and state; torch's optimizer of the same rule has them as a
        rule under `split` has them.

        Raises:
            ValueError: they are of another rule, of the other semantics or of other parameters; the
                optimizer stays as it was.
        """
        saved = SavedState(self, state_dict, _hyperparameters_of_rules())
        super().load_state_dict(saved.checked())
        # torch would cast and move them as it does what is of a parameter's shape.
        for p, numbers in saved.numbers():
            self.state[p].update(numbers)

    def _lift(self, plain: Tensor) -> Tensor:
        return plain if self.stacked else plain.unsqueeze(0)

    def _drop(self, lifted: Tensor) -> Tensor:
        return lifted if self.stacked else lifted.squeeze(0)

    def __getstate__(self) -> dict[str, Any]:
        # torch keeps three fields by name when an optimizer is copied or pickled.
        return super().__getstate__() | {"rule": self.rule, "stacked": self.stacked}


def _flat(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _hyperparameters_of_rules() -> frozenset[str]:
    """What the optimizers with a rule call their hyperparameters, all of them together."""
    named: set[str] = set()
    kinds: list[type[RuleOptimizer]] = [RuleOptimizer]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        if kind is not RuleOptimizer:
            named |= signature(kind).parameters.keys()
    return frozenset(named - {"params", "semantics", "stacked"})
