"""A copy of a user's network with loss and samples, whose gradients can be measured."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Container, Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from cvtrain.gradients.culprits import (
    Culprit,
    custom_functions,
    gradient_culprits,
    gradient_hooks,
    hook_culprits,
)
from cvtrain.gradients.directional import read_gradients
from cvtrain.gradients.textbook_losses import RecognisedLoss, recognise_loss
from cvtrain.models.parameters import cast_parameters
from cvtrain.process.errors import InputError, describe_error
from cvtrain.process.user_code import definition_place

Pieces: TypeAlias = Callable[[], Iterable[tuple[Any, Any]]]
"""Inputs and targets of all samples, piece by piece, from the beginning at every call."""


@dataclass(frozen=True)
class StepLoss:
    """The loss of a module whose step computes it (`training_step`).

    Attributes:
        of_batch: function of the module and a batch that returns the loss [].
        step: the method that computes the loss; named where it is at fault.
    """

    of_batch: Callable[[nn.Module, Any], Tensor]
    step: Callable[..., Any]

    def __call__(self, output: Tensor, targets: Any) -> Tensor:
        """The loss [], which is the output of the step."""
        return output


class InspectedNetwork:
    """A copy of a network with a loss on a few samples; every call runs under the same conditions.

    The loss may be a `StepLoss`, which calls the network itself.
    """

    def __init__(self, module: nn.Module, probe: Any, loss: Any, dtype: torch.dtype | None) -> None:
        self.network, self.loss = _copied(module), deepcopy(loss) if _is_module(loss) else loss
        self.step = loss if isinstance(loss, StepLoss) else None
        self.cast = dtype is not None
        # Weight of the targets of a piece in a mean; None: their number.
        self.size: Callable[[Any], float] | None = None
        if dtype is not None:
            cast_parameters(self.network, dtype)
            if _is_module(loss):
                cast_parameters(self.loss, dtype)
        self.inputs, self.targets = self.tensors(probe)
        self._buffers = [
            (owner, name, buffer.clone())
            for owner in self.network.modules()
            for name, buffer in owner._buffers.items()
            if buffer is not None
        ]

    @classmethod
    def in_double(cls, module: nn.Module, probe: Any, loss: Any) -> InspectedNetwork:
        """Copy a network in double precision, or in its own precision if it does not run in double.

        Raises:
            InputError: the network runs in neither precision, or its loss depends on no trained
                parameter.
        """
        for dtype in (torch.complex128, None):
            try:
                problem = cls(module, probe, loss, dtype)
                with warnings.catch_warnings():
                    # Imaginary parts that are dropped: `dropped_imaginary_parts` looks for them.
                    warnings.simplefilter("ignore")
                    value = problem.value()
                if not value.requires_grad:
                    raise InputError("module: the loss depends on no parameter that is trained")
                return problem
            except InputError:
                raise
            except Exception as error:  # a user's network may raise anything
                if dtype is None:
                    raise InputError(f"module: it fails: {describe_error(error)}") from error
        raise AssertionError

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the network's complex parameters, or the complex dtype of its real
        precision."""
        p = next(self.network.parameters())
        return p.dtype if p.is_complex() else p.dtype.to_complex()

    def value(self, inputs: Any = None, targets: Any = None) -> Tensor:
        """The loss [] on samples; None: the probed ones."""
        if inputs is None:
            inputs, targets = self.inputs, self.targets
        value: Tensor = self.repeatable(lambda: self._loss_of(self._forward(inputs), targets))
        return value

    def outputs(self) -> Any:
        """The outputs of the network on the probed samples."""
        return self._forward(self.inputs)

    def repeatable(self, call: Callable[[], Any]) -> Any:
        """Call a function with the buffers and random numbers that every call gets."""
        for owner, name, buffer in self._buffers:
            owner._buffers[name] = buffer.clone()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            return call()

    def culprits(self, contradicting: Container[str]) -> list[Culprit]:
        """Find the code that makes the gradients of these parameters wrong."""
        hooks = hook_culprits(self.network, contradicting)
        outputs = tree_map(_leaf, self.repeatable(self.outputs))
        leaves = {
            str(i): leaf
            for i, leaf in enumerate(tree_leaves(outputs))
            if isinstance(leaf, Tensor) and leaf.requires_grad
        }

        def loss_alone() -> Tensor:
            value: Tensor = self.repeatable(lambda: self._loss_of(outputs, self.targets))
            return value

        in_loss = []
        if any(r.contradicts for r in read_gradients(loss_alone, leaves).values()):
            functions = custom_functions([loss_alone()])
            definitions = [function.backward for function in functions] or [
                self.loss.forward if _is_module(self.loss) else self.loss
            ]
            in_loss = [
                Culprit("a wrong backward", "the loss", definition_place(definition))
                for definition in definitions
            ]
        culprits = [*hooks, *in_loss, *self._culprits_without_hooks()]
        if self.step is not None and not culprits:
            functions = custom_functions([self.value()])
            definitions = [function.backward for function in functions] or [self.step.step]
            locations = [definition_place(definition) for definition in definitions]
            return [Culprit("a wrong backward", "the step", location) for location in locations]
        return culprits

    def _culprits_without_hooks(self) -> list[Culprit]:
        # Hooks on parameters are already listed. Left in place they would make every module
        # suspect.
        saved = [(p, dict(p._backward_hooks or {})) for p in self.network.parameters()]
        for p, _ in saved:
            if p._backward_hooks:
                p._backward_hooks.clear()
        culprits = gradient_culprits(self.network, self.outputs, self.repeatable)
        for p, hooks in saved:
            if p._backward_hooks is not None:
                p._backward_hooks.update(hooks)
        return culprits

    def accumulate(self, pieces: Iterable[tuple[Any, Any]], seconds: float = math.inf) -> int:
        """Add up the gradient over all samples, or over as many as `seconds` allow, in the
        parameters' `grad`; return the number of samples.

        Pieces are weighted so that the sum is the gradient of the whole: by their share of the
        samples if the loss is a mean over samples, by 1 if it is a sum.
        """
        summed = self._sums_over_samples()
        self.network.zero_grad(set_to_none=True)
        samples, total, begun = 0, 0.0, time.monotonic()
        for piece in pieces:
            if samples and time.monotonic() - begun > seconds:
                break
            inputs, targets = self.tensors(piece)
            count = len(tree_leaves(inputs)[0])
            value = self.value(inputs, targets)
            counts = count if self.size is None else self.size(targets)
            torch.autograd.backward(value if summed else value * counts)
            samples, total = samples + count, total + counts
        for p in self.network.parameters():
            if p.grad is not None and not summed:
                p.grad /= total
        return samples

    def recognised(self) -> RecognisedLoss | None:
        """The textbook loss that this loss equals, or None."""
        outputs, targets = self.repeatable(self.outputs), self.targets
        if (
            self.step is not None
            or not isinstance(outputs, Tensor)
            or not isinstance(targets, Tensor)
        ):
            return None
        try:
            return recognise_loss(self._loss_of, outputs, targets)
        except Exception:  # the trial outputs may be invalid for a user's loss
            return None

    @torch.no_grad()
    def _sums_over_samples(self) -> bool:
        """Whether repeating all samples doubles the loss, as for a sum over samples."""

        def doubled(tree: Any) -> Any:
            return tree_map(
                lambda a: torch.cat((a, a)) if isinstance(a, Tensor) and a.dim() else a, tree
            )

        once = self.repeatable(self.outputs)
        value = float(self._loss_of(once, self.targets))
        try:
            if self.step is None:
                twice = float(self._loss_of(doubled(once), doubled(self.targets)))
            else:
                twice = float(self.value(doubled(self.inputs), self.targets))
        except Exception:  # the loss accepts only this number of samples
            return False
        return math.isclose(twice, 2 * value, rel_tol=1e-3)

    def _forward(self, inputs: Any) -> Any:
        if self.step is not None:
            return self.step.of_batch(self.network, inputs)
        if isinstance(inputs, tuple | list):
            return self.network(*inputs)
        return self.network(inputs)

    def _loss_of(self, outputs: Any, targets: Any) -> Tensor:
        value = self.loss(outputs, targets)
        if not isinstance(value, Tensor) or value.is_complex() or not value.is_floating_point():
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise InputError(f"loss: should be a real number, is {kind}")
        return value.mean()

    def tensors(self, tree: Any) -> Any:
        """Inputs and targets on the CPU, in the precision of the network."""

        def one(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            leaf = leaf.detach().cpu()
            if self.cast and leaf.is_complex():
                return leaf.to(torch.complex128)
            return leaf.double() if self.cast and leaf.is_floating_point() else leaf

        return tree_map(one, tree)


def _copied(module: nn.Module) -> nn.Module:
    """A copy on the CPU that keeps hooks on gradients of parameters, which `deepcopy` drops.

    Raises:
        InputError: the module cannot be copied.
    """
    try:
        copied = deepcopy(module).cpu()
    except Exception as error:  # tensors with a graph, locks, open files
        raise InputError(f"module: it cannot be copied: {describe_error(error)}") from error
    for original, copy in zip(module.parameters(), copied.parameters(), strict=True):
        copy.grad = None
        for hook in gradient_hooks(original):
            copy.register_hook(hook)  # type: ignore[no-untyped-call]  # torch's
    return copied


def _is_module(loss: Any) -> bool:
    return isinstance(loss, nn.Module)


def _leaf(value: Any) -> Any:
    numbers = isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())
    return value.detach().requires_grad_() if numbers else value
