"""A saved optimizer state, checked against the rule that is to go on from it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, Protocol

import torch
from torch import Tensor

from cvtrain.gradients.stacked_number import on_host
from cvtrain.optim.rule import Hyperparameters, Rule
from cvtrain.optim.semantics import Semantics, State


class Resuming(Protocol):
    """An optimizer that is to go on from a state: what is read of it."""

    param_groups: list[dict[str, Any]]
    defaults: dict[str, Any]
    rule: Rule
    stacked: bool

    @property
    def semantics(self) -> Semantics:
        """How a complex entry is treated."""

    def check_group(self, group: Hyperparameters) -> None:
        """Raise ValueError for hyperparameters that do not fit."""


class SavedState:
    """What `state_dict` of an optimizer returned, here or in torch.

    Nothing in it names the rule that wrote it, so that it is known by what it holds: its
    hyperparameters, the names of its tensors, their shapes and whether they are complex.

    Args:
        optimizer: is to go on from it.
        state_dict: is read, not changed.
        hyperparameters: names of those of all rules, by which a foreign state is known.
    """

    def __init__(
        self, optimizer: Resuming, state_dict: dict[str, Any], hyperparameters: frozenset[str]
    ) -> None:
        self._optimizer = optimizer
        self._hyperparameters = hyperparameters
        self._state_dict = state_dict
        semantics = f"(semantics={optimizer.semantics!r})"
        self._name = f"{type(optimizer).__name__}{semantics}"
        self._numbers: list[tuple[Tensor, State]] = []

    def checked(self) -> dict[str, Any]:
        """The state dict for `torch.optim.Optimizer.load_state_dict`, in the optimizer's precision.

        Raises:
            ValueError: it is of another rule, of the other semantics or of other parameters.
        """
        groups = [
            self._group(number, saved, own)
            for number, (saved, own) in enumerate(
                zip(self._state_dict["param_groups"], self._optimizer.param_groups, strict=False)
            )
        ]
        if len(groups) < len(self._state_dict["param_groups"]):
            groups = self._state_dict["param_groups"]  # torch refuses it
        state = dict(self._state_dict["state"])
        for key, p in self._parameters():
            if state.get(key):
                state[key] = self._state_of(key, state[key], p)
        return {**self._state_dict, "param_groups": groups, "state": state}

    def numbers(self) -> list[tuple[Tensor, State]]:
        """The numbers of each parameter's state, on the host; after `checked`."""
        return self._numbers

    def _parameters(self) -> Iterator[tuple[Any, Tensor]]:
        saved = (group["params"] for group in self._state_dict["param_groups"])
        own = (group["params"] for group in self._optimizer.param_groups)
        return zip(chain.from_iterable(saved), chain.from_iterable(own), strict=False)

    def _group(self, number: int, saved: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
        known = self._optimizer.defaults
        said = f"state dict: param_groups[{number}]"
        missing = sorted(known.keys() - saved.keys())
        if missing:
            raise ValueError(
                f"{said} has no {', '.join(missing)}: should be of {type(self._optimizer).__name__}"
            )
        foreign = sorted((saved.keys() & self._hyperparameters) - known.keys())
        if foreign:
            raise ValueError(
                f"{said} has {', '.join(foreign)}: should be of {type(self._optimizer).__name__},"
                " which has no such hyperparameter"
            )
        if saved.get("maximize"):
            raise ValueError(f"{said}.maximize=True: should be False; {self._name} minimises")
        group = saved | {name: on_host(saved[name]) for name in known}
        self._optimizer.check_group(group | {"params": own["params"]})
        return group

    def _state_of(self, key: Any, saved: dict[str, Any], p: Tensor) -> dict[str, Any]:
        layout, stacked = self._optimizer.rule.state_layout, self._optimizer.stacked
        said = f"state dict: state[{key}]"
        held = {name: value for name, value in saved.items() if value is not None}
        always = self._optimizer.rule.init(torch.zeros(1, 1, dtype=p.dtype))
        for name in sorted(held.keys() ^ always.keys()):
            if name not in held or name not in layout:
                has = "has" if name in held else "lacks"
                raise ValueError(
                    f"{said} {has} {name}: should be of {self._name}, which keeps"
                    f" {', '.join(layout)}"
                )
        numbers = {name for name in held if layout[name] == "number"}
        state: dict[str, Any] = {}
        for name, value in held.items():
            shape = p.shape if name not in numbers else p.shape[: int(stacked)]
            tensor = torch.as_tensor(value, dtype=None if torch.is_tensor(value) else torch.float32)
            if tensor.shape != shape:
                raise ValueError(
                    f"{said}[{name!r}] has shape {list(tensor.shape)}: should be {list(shape)}"
                )
            dtype = tensor.dtype if name in numbers else self._dtype(name, p)
            if tensor.is_complex() != dtype.is_complex or tensor.dtype == torch.bool:
                raise ValueError(f"{said}[{name!r}] {self._told(name, tensor, p)}")
            state[name] = tensor.cpu() if name in numbers else tensor.to(dtype)
        self._numbers.append((p, {name: state[name] for name in numbers}))
        return state

    def _dtype(self, name: str, p: Tensor) -> torch.dtype:
        real = self._optimizer.rule.state_layout[name] == "magnitude" and (
            self._optimizer.semantics == "modulus"
        )
        return p.dtype.to_real() if real and p.is_complex() else p.dtype

    def _told(self, name: str, tensor: Tensor, p: Tensor) -> str:
        kinds = "complex" if tensor.is_complex() else "real"
        if self._optimizer.rule.state_layout[name] == "magnitude" and p.is_complex():
            whose = "split, which torch has too" if tensor.is_complex() else "modulus"
            return (
                f"is {kinds}, of the semantics {whose}: should be of {self._name}; the two keep"
                " different second moments"
            )
        return f"is {kinds}: should be {'complex' if p.is_complex() else 'real'}, as its parameter"
