"""One update of members of a stack as a pure function of tensors that can be traced and
compiled."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap
from torch.utils import _pytree as pytree

from cvtrain.gradients.stacked_number import column, float64
from cvtrain.gradients.transform import transform_gradients
from cvtrain.models.stacked.network import StackedNetwork
from cvtrain.optim import RuleOptimizer
from cvtrain.training.run_status import total_of
from cvtrain.training.stacking import StackNumbers

Tensors = dict[str, Tensor]
Arguments = tuple[Any, ...]
TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-9}
"""Largest accepted difference between a compiled step and the eager one, relative to the largest
entry."""


class NotCompiled(Exception):
    """A stack's step cannot be compiled; the message is the reason."""


@dataclass(frozen=True)
class Settings:
    """The properties of an update that do not depend on values of tensors.

    Attributes:
        structure: structure of the numbers of objective, convention, clip and optimizer.
        fixed: those numbers that are choices or zeros; None in place of a tensor.
    """

    structure: pytree.TreeSpec
    fixed: tuple[Hashable, ...]

    def numbers(self, values: Sequence[Tensor]) -> dict[str, Any]:
        """All numbers, with `values` [K] inserted."""
        rest = iter(values)
        leaves = [next(rest) if value is _VALUE else value for value in self.fixed]
        numbers: dict[str, Any] = pytree.tree_unflatten(leaves, self.structure)
        return numbers


_VALUE = "a tensor"


class PureUpdate:
    """The update that a stack's training step and optimizer make together, without side effects.

    Args:
        stacked: the networks of K members.
        loss: function of outputs, targets and weights of one member.
        optimizer: optimizer over the stacked parameters.
        numbers: scale, convention and clip of the members.

    Attributes:
        trained, frozen: parameters [K, …] by name.

    Raises:
        NotCompiled: the networks have buffers.
    """

    def __init__(
        self,
        stacked: StackedNetwork,
        loss: Callable[..., Tensor],
        optimizer: RuleOptimizer,
        numbers: StackNumbers,
    ) -> None:
        if any(True for _ in stacked.buffers()):
            raise NotCompiled("the network has buffers")
        self.optimizer = optimizer
        self._stacked, self._loss, self._numbers = stacked, loss, numbers
        parameters = dict(stacked.network.named_parameters())
        self.trained = {name: p for name, p in parameters.items() if p.requires_grad}
        self.frozen = {name: p for name, p in parameters.items() if not p.requires_grad}
        groups = enumerate(optimizer.param_groups)
        group_of = {id(p): index for index, group in groups for p in group["params"]}
        self._group_of = {name: group_of[id(p)] for name, p in self.trained.items()}

    def states(self) -> dict[str, Tensors]:
        """The optimizer's state by parameter, if it has any."""
        return {name: self.optimizer.state.get(p, {}) for name, p in self.trained.items()}

    def settings(self) -> tuple[Settings, list[Tensor]]:
        """The choices and numbers (float64 tensors [] or [K] on the CPU) that the next update
        depends on besides weights, state and batch."""
        numbers = self._numbers
        content = {
            "scale": numbers.scale,
            "convention": _fields(numbers.convention),
            "clip": _fields(numbers.clip),
            "groups": [
                {name: value for name, value in group.items() if name != "params"}
                for group in self.optimizer.param_groups
            ],
        }
        leaves, structure = pytree.tree_flatten(content)
        # A scale of 1 leaves a gradient unchanged; rules skip a term whose number is 0.
        values = [
            leaf
            if isinstance(leaf, Tensor) or (isinstance(leaf, float) and leaf not in (0.0, 1.0))
            else None
            for leaf in leaves
        ]
        fixed = (
            leaf if value is None else _VALUE for leaf, value in zip(leaves, values, strict=True)
        )
        return Settings(structure, tuple(fixed)), [float64(v) for v in values if v is not None]

    def of(
        self,
        settings: Settings,
        weights: Tensors,
        frozen: Tensors,
        state: dict[str, Tensors],
        inputs: tuple[Tensor, ...],
        judged: tuple[Tensor, ...],
        values: tuple[Tensor, ...],
    ) -> dict[str, Any]:
        """The update of K members.

        Args:
            settings: choices of the update.
            weights, frozen: parameters [K, …] by name.
            state: state of the optimizer by parameter.
            inputs, judged: the batch, [K, B, …].
            values: numbers [K], float64.

        Returns:
            `losses`, `coefficient` and `total` [K]; and by name `gradients`, `transformed` (if they
            differ), next `weights` and `state`.
        """
        losses, gradients = self._gradients(settings, weights, frozen, inputs, judged, values)
        return {
            "losses": losses,
            "gradients": {
                name: torch.zeros_like(weights[name]) if g is None else g
                for name, g in gradients.items()
            },
            **self._updated(settings, weights, state, gradients, values),
        }

    def _gradients(
        self,
        settings: Settings,
        weights: Tensors,
        frozen: Tensors,
        inputs: tuple[Tensor, ...],
        judged: tuple[Tensor, ...],
        values: tuple[Tensor, ...],
    ) -> tuple[Tensor, dict[str, Tensor | None]]:
        scale = settings.numbers(values)["scale"]
        with torch.enable_grad():
            leaves = {name: w.detach().requires_grad_() for name, w in weights.items()}
            outputs = self._stacked.call_with(leaves | frozen, inputs)
            losses = vmap(self._loss)(outputs, *judged)
            if losses.is_complex():
                raise TypeError("the loss is complex; a loss that is minimised is real")
            objective = (column(scale, losses) * losses).sum()
            gradients = torch.autograd.grad(objective, list(leaves.values()), allow_unused=True)
        detached = (None if g is None else g.detach().resolve_conj() for g in gradients)
        return losses.detach(), dict(zip(leaves, detached, strict=True))

    @torch.no_grad()
    def _updated(
        self,
        settings: Settings,
        weights: Tensors,
        state: dict[str, Tensors],
        gradients: Mapping[str, Tensor | None],
        values: tuple[Tensor, ...],
    ) -> dict[str, Any]:
        numbers, rule = settings.numbers(values), self.optimizer.rule
        known = {name: g for name, g in gradients.items() if g is not None}
        transformed, coefficient = transform_gradients(
            known,
            replace(self._numbers.convention, **numbers["convention"]),
            _unchecked(self._numbers.clip, numbers["clip"]),
        )
        next_weights, next_state = {}, {}
        for name, g in transformed.items():
            w, h = weights[name], numbers["groups"][self._group_of[name]]
            before = state[name] or rule.init(w)
            next_weights[name], next_state[name] = rule.update(
                w, -g if h["maximize"] else g, before, h
            )
        return {
            "coefficient": coefficient,
            "transformed": {n: g for n, g in transformed.items() if g is not known[n]},
            "weights": next_weights,
            "state": next_state,
            "total": total_of([*known.values(), *next_weights.values()]),
        }

    def checked(self, settings: Settings, arguments: Arguments) -> tuple[Tensor, Any]:
        """Losses and gradients computed without a compiler.

        Raises:
            NotCompiled: a forward draws random numbers, which a program would repeat.
        """
        stacked = self._stacked
        random = [stacked.random_state_of(member) for member in range(stacked.members)]
        weights, frozen, _, inputs, judged, values = arguments
        result = self._gradients(settings, weights, frozen, inputs, judged, values)
        after = [stacked.random_state_of(member) for member in range(stacked.members)]
        if not all(map(torch.equal, random, after)):
            stacked.restore_random_states(torch.stack(random))
            raise NotCompiled("the network draws random numbers")
        return result

    def compare(
        self, settings: Settings, arguments: Arguments, compiled: dict[str, Any], reference: Any
    ) -> None:
        """Compare the results of a program with the eager step.

        Raises:
            NotCompiled: they differ by more than `TOLERANCE`.
        """
        losses, gradients = reference
        weights, _, state, _, _, values = arguments
        _check_close("the loss", compiled["losses"], losses)
        for name, g in gradients.items():
            if g is not None:
                _check_close(f"the gradient of {name}", compiled["gradients"][name], g)
        known = {n: None if gradients[n] is None else compiled["gradients"][n] for n in gradients}
        expected = self._updated(settings, weights, state, known, values)
        for key in ("coefficient", "transformed", "weights", "state"):
            for ours, theirs in zip(
                pytree.tree_leaves(compiled[key]), pytree.tree_leaves(expected[key]), strict=True
            ):
                _check_close(f"the optimizer's {key}", ours, theirs)


def _check_close(name: str, compiled: Tensor, eager: Tensor) -> None:
    if compiled.dtype != eager.dtype or compiled.shape != eager.shape:
        raise NotCompiled(f"{name} is compiled to {compiled.dtype} {list(compiled.shape)}")
    usable = eager.isfinite()
    difference = torch.where(usable, compiled - eager, 0).abs()
    scale = torch.where(usable, eager, 0).abs().max()
    if not bool((difference <= TOLERANCE[eager.dtype.to_real()] * scale).all()):
        raise NotCompiled(f"{name} differs by {float(difference.max() / scale):.2g} when compiled")


def _fields(numbers: Any) -> dict[str, Any]:
    return {field.name: getattr(numbers, field.name) for field in fields(numbers)}


def _unchecked(clip: Any, numbers: dict[str, Any]) -> Any:
    """The clip with other numbers, without checking their values."""
    made = object.__new__(type(clip))
    for name, value in numbers.items():
        object.__setattr__(made, name, value)
    return made
