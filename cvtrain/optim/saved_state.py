"""Check a saved optimizer state against the rule that is to continue from it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, Protocol

import torch
from torch import Tensor

from cvtrain.gradients.stacked_number import on_host
from cvtrain.optim.hyperparameters import SWITCHES
from cvtrain.optim.rule import Hyperparameters, Rule
from cvtrain.optim.semantics import Semantics, State

LATER_ARGUMENTS = (*SWITCHES, "decoupled_weight_decay", "flatten")
"""Keys that older states (also torch's) lack; the loading optimizer uses its own values."""


class ResumingOptimizer(Protocol):
    """Interface of the optimizer that loads a state, as far as it is used here."""

    param_groups: list[dict[str, Any]]
    defaults: dict[str, Any]
    rule: Rule
    semantics: Semantics
    stacked: bool

    def check_group(self, group: Hyperparameters) -> None:
        """Raise ValueError if the hyperparameters do not fit."""


class SavedState:
    """The result of `state_dict` of an optimizer, of cvtrain or of torch.

    A state dict does not name the rule that wrote it. The rule is recognised by the names of its
    hyperparameters and tensors, their shapes, and whether they are complex.

    Args:
        optimizer: optimizer that loads the state.
        state_dict: the state, which is not changed.
        hyperparameters: names of the hyperparameters of all rules; a name that the optimizer lacks
            shows that another rule wrote the state.
    """

    def __init__(
        self,
        optimizer: ResumingOptimizer,
        state_dict: dict[str, Any],
        hyperparameters: frozenset[str],
    ) -> None:
        self._optimizer = optimizer
        self._hyperparameters = hyperparameters
        self._state_dict = state_dict
        self._class = type(optimizer).__name__
        self._name = f"{self._class}(semantics={optimizer.semantics!r})"
        self._numbers: list[tuple[Tensor, State]] = []

    def checked(self) -> dict[str, Any]:
        """The state dict for `torch.optim.Optimizer.load_state_dict`, in the optimizer's precision.

        Raises:
            ValueError: the state belongs to another rule, other semantics or other parameters.
        """
        saved_groups = self._state_dict["param_groups"]
        groups = [
            self._checked_group(index, saved, own)
            for index, (saved, own) in enumerate(
                zip(saved_groups, self._optimizer.param_groups, strict=False)
            )
        ]
        if len(groups) < len(saved_groups):
            groups = saved_groups  # torch rejects it
        state = dict(self._state_dict["state"])
        for key, p in self._parameters():
            if state.get(key):
                state[key] = self._checked_state(key, state[key], p)
        return {**self._state_dict, "param_groups": groups, "state": state}

    def numbers(self) -> list[tuple[Tensor, State]]:
        """The numbers (such as step counts) in each parameter's state, on the CPU.

        Call it after `checked`, which collects them.
        """
        return self._numbers

    def _parameters(self) -> Iterator[tuple[Any, Tensor]]:
        saved = (group["params"] for group in self._state_dict["param_groups"])
        own = (group["params"] for group in self._optimizer.param_groups)
        return zip(chain.from_iterable(saved), chain.from_iterable(own), strict=False)

    def _checked_group(
        self, index: int, saved: dict[str, Any], own: dict[str, Any]
    ) -> dict[str, Any]:
        known = self._optimizer.defaults
        key = f"state dict: param_groups[{index}]"
        saved = {name: own[name] for name in LATER_ARGUMENTS if name in known} | saved
        missing = sorted(known.keys() - saved.keys())
        if missing:
            raise ValueError(f"{key} has no {', '.join(missing)}: should be of {self._class}")
        foreign = sorted((saved.keys() & self._hyperparameters) - known.keys())
        if foreign:
            raise ValueError(
                f"{key} has {', '.join(foreign)}: should be of {self._class},"
                " which has no such hyperparameter"
            )
        # How torch computed its steps does not affect the following ones.
        saved |= {"capturable": False, "differentiable": False}
        group = saved | {name: on_host(saved[name]) for name in known}
        self._optimizer.check_group(group | {"params": own["params"]})
        return group

    def _checked_state(self, parameter: Any, saved: dict[str, Any], p: Tensor) -> dict[str, Any]:
        layout, stacked = self._optimizer.rule.state_layout, self._optimizer.stacked
        key = f"state dict: state[{parameter}]"
        saved = {name: value for name, value in saved.items() if value is not None}
        required = self._optimizer.rule.init(torch.zeros(1, 1, dtype=p.dtype))
        for name in sorted(saved.keys() ^ required.keys()):
            if name not in saved or name not in layout:
                raise ValueError(
                    f"{key} {'has' if name in saved else 'lacks'} {name}: should be of"
                    f" {self._name}, which keeps {', '.join(layout)}"
                )
        numbers = {name for name in saved if layout[name] == "number"}
        state: dict[str, Any] = {}
        for name, value in saved.items():
            shape = p.shape if name not in numbers else p.shape[: int(stacked)]
            tensor = torch.as_tensor(value, dtype=None if torch.is_tensor(value) else torch.float32)
            if tensor.shape != shape:
                raise ValueError(
                    f"{key}[{name!r}] has shape {list(tensor.shape)}: should be {list(shape)}"
                )
            dtype = tensor.dtype if name in numbers else self._dtype(name, p)
            if tensor.is_complex() != dtype.is_complex or tensor.dtype == torch.bool:
                raise ValueError(f"{key}[{name!r}] {self._wrong_kind(name, tensor, p)}")
            state[name] = tensor.cpu() if name in numbers else tensor.to(dtype)
        self._numbers.append((p, {name: state[name] for name in numbers}))
        return state

    def _dtype(self, name: str, p: Tensor) -> torch.dtype:
        is_magnitude = self._optimizer.rule.state_layout[name] == "magnitude"
        real = is_magnitude and self._optimizer.semantics == "modulus"
        return p.dtype.to_real() if real and p.is_complex() else p.dtype

    def _wrong_kind(self, name: str, tensor: Tensor, p: Tensor) -> str:
        kind = "complex" if tensor.is_complex() else "real"
        if self._optimizer.rule.state_layout[name] == "magnitude" and p.is_complex():
            semantics = "split, which torch has too" if tensor.is_complex() else "modulus"
            return (
                f"is {kind}, of the semantics {semantics}: should be of {self._name}; the two keep"
                " different second moments"
            )
        return f"is {kind}: should be {'complex' if p.is_complex() else 'real'}, as its parameter"
