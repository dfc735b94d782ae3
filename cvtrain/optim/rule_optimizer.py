"""Update rules as optimizers of torch.optim."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, fields
from typing import Any, ClassVar, get_args, overload

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from cvtrain.gradients.stacked_number import float64, on_host
from cvtrain.optim.hyperparameters import REFUSED_SWITCHES, FieldsAsArguments, check_range
from cvtrain.optim.rule import Rule
from cvtrain.optim.saved_state import SavedState
from cvtrain.optim.semantics import Semantics


class RuleOptimizer(FieldsAsArguments, Optimizer):
    """A rule as a torch.optim.Optimizer, for plain parameters or for a stack of K.

    A subclass sets `rule_class` and declares its hyperparameters as annotated fields with defaults,
    which become arguments of its constructor::

        class SignSGD(RuleOptimizer):
            rule_class = SignSGDRule
            lr: Nonnegative = 1e-4
            momentum: Fraction = 0.0

    The hyperparameters are in `param_groups` under torch's names; the state has torch's keys and
    shapes. `p.grad` is read, never written. A plain parameter is updated in place, as by torch's
    optimizers; a stacked parameter gets new memory at every step, so that earlier references keep
    their values. torch's learning rate schedulers need a learning rate that is a Python number and
    are rejected for [K] rates; set ``group["lr"]`` instead (see `cvtrain.schedule`).

    Sparse gradients are accepted by the rules for which torch accepts them (SGD and Adagrad,
    without weight decay), and treated as the dense tensors that they represent.

    Args:
        params: parameters, or parameter groups with their own hyperparameters.
        maximize: step along −g, so that the objective rises.
        foreach, fused: accepted for torch's signature and ignored: there is one implementation.
        capturable, differentiable: accepted for torch's signature; True is rejected, since step
            counts are on the CPU and steps have no graph.
        semantics: how a complex entry is treated: `split`, as two reals, or `modulus`, as one
            complex number.
        stacked: whether every parameter has a leading axis K; numbers may then be [K] tensors.

    Raises:
        ValueError: a hyperparameter is out of range or NaN, or a tensor does not fit the stack.
    """

    rule_class: ClassVar[type[Rule]]

    params: ParamsT
    _: KW_ONLY
    maximize: bool = False
    foreach: bool | None = None
    fused: bool | None = None
    capturable: bool = False
    differentiable: bool = False
    semantics: Semantics = "split"
    stacked: bool = False

    def __post_init__(self) -> None:
        """Move the hyperparameters from the fields into `param_groups`."""
        if self.semantics not in get_args(Semantics):
            raise ValueError(f"semantics={self.semantics!r}: should be split or modulus")
        if not hasattr(self, "rule_class"):
            raise TypeError(
                f"{type(self).__name__} has no rule_class: should be a subclass with one"
            )
        self.rule = self.rule_class(self.semantics)
        own = {"params", "semantics", "stacked"}
        values = {
            # A field that is not an argument has only its default.
            field.name: vars(self).pop(field.name, field.default)
            for field in fields(self)
            if field.name not in own
        }
        super().__init__(vars(self).pop("params"), values)

    def __setattr__(self, name: str, value: Any) -> None:
        """Reject a scheduler of torch, which first wraps `step`, if there are [K] rates.

        Raises:
            ValueError: the scheduler would give all K networks the same learning rate.
        """
        if name == "step" and hasattr(value, "_wrapped_by_lr_sched"):
            for group in self.param_groups:
                if isinstance(group["lr"], Tensor) and group["lr"].numel() > 1:
                    raise ValueError(
                        "a scheduler of torch sets one learning rate for all networks: should be"
                        " schedule= of StackedModule, or set group['lr'] (see cvtrain.schedule)"
                    )
        super().__setattr__(name, value)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; missing hyperparameters get the optimizer's values.

        Raises:
            ValueError: a hyperparameter is out of range or NaN, or a tensor does not fit the stack.
        """
        group = self.defaults | param_group
        super().add_param_group(group | {name: on_host(group[name]) for name in self.defaults})
        try:
            self.check_group(self.param_groups[-1])
        except ValueError:
            del self.param_groups[-1]
            raise

    def check_group(self, group: Mapping[str, Any]) -> None:
        """Raise ValueError if a hyperparameter is out of range, NaN, or does not fit the stack."""
        for name in self.defaults:
            check_range(name, group[name], self.arguments[name])
        for name in REFUSED_SWITCHES:
            if group[name]:
                raise ValueError(f"{name}=True: should be False in {type(self).__name__}")
        if group["foreach"] and group["fused"]:
            raise ValueError("fused=True: should be False where foreach=True")
        self.rule.check(group)
        for p in group["params"]:
            self.rule.check_shape(p.shape[int(self.stacked) :], group)
            if self.stacked and p.dim() == 0:
                raise ValueError("stacked=True: parameters should have a leading axis")
            members = p.shape[0] if self.stacked else 1
            for name in self.defaults:
                for number in _entries(group[name]):
                    if isinstance(number, Tensor) and number.numel() not in (1, members):
                        raise ValueError(
                            f"{name}: {number.numel()} values should be 1, or {members} as members"
                        )

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient.

        Args:
            closure: function that evaluates the objective again, with gradients, and returns it.

        Returns:
            the result of the closure, or None.
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
        # A state pickled by an older version of torch holds counts as Python numbers.
        state = {name: torch.as_tensor(value) for name, value in self.state.get(p, {}).items()}
        before = {name: self._lift(tensor) for name, tensor in state.items()}
        dense = p.grad if p.grad.layout == torch.strided else self._dense(p.grad, group)
        # A convention may return a lazily conjugated tensor, which has no real view in torch.
        g = self._lift(dense.resolve_conj())
        if group["maximize"]:
            g = -g
        w, after = self.rule.update(w, g, before or self.rule.init(w), group)
        if self.stacked:
            p.data = w
        else:
            p.copy_(self._drop(w))
        if after:
            self.state[p] = {name: self._drop(t) for name, t in after.items()}

    def _dense(self, gradient: Tensor, group: Mapping[str, Any]) -> Tensor:
        # The messages are torch's.
        if not self.rule.takes_sparse_gradients:
            raise RuntimeError(f"{type(self).__name__} does not support sparse gradients")
        if bool((float64(group["weight_decay"]) != 0).any()):
            raise RuntimeError("weight_decay option is not compatible with sparse gradients")
        return gradient.to_dense()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load hyperparameters and state, of this class or of torch's optimizer with the same rule.

        torch's optimizer has the state of `split`.

        Raises:
            ValueError: the state belongs to another rule, other semantics or other parameters; the
                optimizer is then unchanged.
        """
        hyperparameters = frozenset(
            name for kind in _subclasses(RuleOptimizer) for name in kind.arguments
        )
        saved = SavedState(self, state_dict, hyperparameters - RuleOptimizer.arguments.keys())
        super().load_state_dict(saved.checked())
        # torch would cast the numbers, and move them to the parameter's device.
        for p, numbers in saved.numbers():
            self.state[p].update(numbers)

    def _lift(self, plain: Tensor) -> Tensor:
        return plain if self.stacked else plain.unsqueeze(0)

    def _drop(self, lifted: Tensor) -> Tensor:
        return lifted if self.stacked else lifted.squeeze(0)

    def __getstate__(self) -> dict[str, Any]:
        # torch keeps three fields by name when an optimizer is copied or pickled.
        fields_of_rule = {name: getattr(self, name) for name in ("rule", "semantics", "stacked")}
        return super().__getstate__() | fields_of_rule


def _entries(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _subclasses(kind: type[RuleOptimizer]) -> Iterator[type[RuleOptimizer]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
