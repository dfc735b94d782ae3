"""Make the objective of a configuration, and check a user's own loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from cvtrain.config.object_content import content_of
from cvtrain.config.own_code import called_with
from cvtrain.config.python_objects import path_of, registered
from cvtrain.config.schema import Config
from cvtrain.config.sections import CustomObjectiveConfig
from cvtrain.config.targets import resolve_target
from cvtrain.gradients.losses import Objective
from cvtrain.process.errors import InputError, describe_error


class FunctionLoss(nn.Module):
    """A function of outputs and targets as a module."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The function's value."""
        return self.function(output, target)


class LossOfModule(nn.Module):
    """Stands for the loss of a LightningModule's `training_step`, which does not take outputs."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Raises RuntimeError."""
        raise RuntimeError("the loss is that of training_step, which outputs alone do not give")


def build_objective(config: Config) -> Objective:
    """Make the loss of a configuration, with its scale.

    Raises:
        InputError: the loss is not valid, or rejects one of its arguments.
    """
    section = config.objective
    if not isinstance(section, CustomObjectiveConfig):
        if section.loss == "module":
            if config.module.target is None:
                raise InputError("objective.loss=module: should come with module=custom")
            return Objective(LossOfModule(), section.scale)
        return Objective(section.loss, section.scale, section.delta)
    target = resolve_target(
        "objective", section.target, nn.Module, config.trusted_modules, anything=True
    )
    made = called_with("objective", target, section.arguments, nn.Module, ("outputs", "targets"))
    loss = made if isinstance(made, nn.Module) else FunctionLoss(made)
    parameter = next((name for name, _ in loss.named_parameters()), None)
    if parameter is not None:
        raise InputError(
            f"objective._target_={section.target}: should have no parameters, which would not be"
            f" trained; has {parameter}"
        )
    return Objective(loss, section.scale)


def check_loss(
    config: Config,
    objective: Objective,
    output: Tensor,
    target: Tensor,
    weights: Tensor | None = None,
) -> None:
    """Try a user's own loss on a few samples, which may have weights.

    Raises:
        InputError: the loss fails, returns neither a real number nor one per sample, returns one
            number although samples have weights, has no gradient, changes the targets, or drops the
            imaginary part of outputs whose targets are complex.
    """
    try:
        _try_loss(objective, output.detach().requires_grad_(), target, weights)
    except Exception as error:  # a user's loss may raise anything
        shown = " and ".join(
            f"{str(tensor.dtype).removeprefix('torch.')} {kind} {list(tensor.shape)}"
            for kind, tensor in (("outputs", output), ("targets", target))
        )
        raise InputError(
            f"objective._target_={config.objective.loss}: with {shown}: {describe_error(error)}"
        ) from error


def _try_loss(objective: Objective, leaf: Tensor, target: Tensor, weights: Tensor | None) -> None:
    before = target.clone()
    loss = objective.loss_value(leaf.clone(), target, weights)
    if not torch.equal(target, before):
        raise ValueError("it changes the targets in place, and so the data")
    if not loss.requires_grad:
        raise ValueError("it has no gradient, should be computed from the outputs by torch alone")
    (gradient,) = torch.autograd.grad(loss, leaf)
    both = leaf.is_complex() and target.is_complex()
    if both and gradient.real.any() and not gradient.imag.any():
        raise ValueError("it drops the imaginary part of outputs whose targets are complex")


def loss_target(loss: Callable[..., Tensor]) -> str:
    """The `_target_` of a loss object of this process: a function, a class, or a module."""
    if not isinstance(loss, nn.Module):
        return path_of(loss)

    def ready() -> nn.Module:
        return loss

    return registered(ready, type(loss).__name__, *content_of(loss))
