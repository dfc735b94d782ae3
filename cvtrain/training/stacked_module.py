"""Your own networks, K at a time, in an ordinary Lightning Trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.func import vmap

from cvtrain.gradients.clipping import Clip, NoClip
from cvtrain.gradients.convention import Convention
from cvtrain.gradients.stacked_number import Number, column
from cvtrain.gradients.transform import transform_gradients
from cvtrain.models.stacked.network import StackedNetwork
from cvtrain.optim import RuleOptimizer

Loss = Callable[[Tensor, Tensor], Tensor]


class StackedModule(LightningModule):
    """Trains K networks of one architecture as one computation, on the same batches.

    Network k descends scale_k × loss along its own gradient, with its own numbers for the rule:
    what it comes to is what it would have come to alone, up to rounding. Every step logs
    ``train/loss_k`` for each k, and validation ``val/loss_k``.

    A forward may change the buffers of its network in training mode, and nothing else: what it
    keeps in an attribute, a list or a counter, and what it changes in evaluation mode, is refused
    by its name in the first steps.

    Args:
        networks: K modules (`LightningModule`s too: their `forward` is what is used), each with its
            own initial weights; they may differ in the values of parameters and buffers alone.
        loss: of outputs and targets of one network, a real number.
        optimizer: a rule of `cvtrain.optim`, called with the stacked parameters and
            ``stacked=True``; its hyperparameters are numbers, or [K] tensors.
        convention, clip: what is asked of each network's gradient, as numbers or [K] tensors. The
            Trainer's ``gradient_clip_val`` would clip all of them by one norm, and is refused.
        scale: of the objectives, a number or [K].
        seeds: of the networks' random masks (dropout); 0, 1, … where None.

    Raises:
        ValueError: there is no network, they differ in something else, have hooks on gradients, or
            there is not one number for each of them.
        TypeError: the optimizer is none of `cvtrain.optim`.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        loss: Loss,
        optimizer: Callable[..., RuleOptimizer],
        *,
        convention: Convention | None = None,
        clip: Clip | None = None,
        scale: Number = 1.0,
        seeds: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if not networks:
            raise ValueError("networks=[]: should be at least one")
        rule = getattr(optimizer, "func", optimizer)  # of functools.partial
        if isinstance(rule, type) and not issubclass(rule, RuleOptimizer):
            raise TypeError(f"optimizer={rule.__name__}: should be one of cvtrain.optim")
        members = range(len(networks))
        numbers = {"scale": scale, "seeds": seeds, "convention": convention, "clip": clip}
        for name, given in numbers.items():
            _check_numbers(name, given, len(networks))
        self.stack = StackedNetwork(networks, members, members if seeds is None else seeds)
        self._loss, self._optimizer = loss, optimizer
        self._convention = Convention() if convention is None else convention
        self._clip = NoClip() if clip is None else clip
        self._scale = scale

    @property
    def members(self) -> int:
        """K."""
        return len(next(iter(self.stack.parameters())))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs [K, N, …] of the same inputs [N, …] for all."""
        outputs: Tensor = self.stack(x.expand(self.members, *x.shape))
        return outputs

    def losses(self, batch: Sequence[Tensor]) -> Tensor:
        """Each network's loss [K] of a batch (inputs, targets).

        Raises:
            TypeError: it is complex.
        """
        inputs, targets = batch
        losses: Tensor = vmap(self._loss, in_dims=(0, None))(self(inputs), targets)
        if losses.is_complex():
            raise TypeError("the loss is complex; a loss that is minimised is real")
        return losses

    def state_dict_of(self, member: int) -> dict[str, Tensor]:
        """The state dict of network number `member`, for the plain module; views."""
        return self.stack.member_state(member)

    # What the Trainer calls.

    def on_fit_start(self) -> None:
        """Begin the random masks on the device of the weights.

        Raises:
            ValueError: the Trainer clips gradients.
        """
        if self.trainer.gradient_clip_val:
            raise ValueError(
                f"Trainer(gradient_clip_val={self.trainer.gradient_clip_val}): it would clip all"
                " networks by one norm; give clip= to StackedModule"
            )
        self.stack.seed(self.device)

    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        """The sum of the objectives: the gradient of each network is that of its own."""
        losses = self.losses(batch)
        self._log("train", losses)
        return (column(self._scale, losses) * losses).sum()

    def validation_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        """Log the losses."""
        self._log("val", self.losses(batch))

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Hand the gradients over as the convention and the clip have it."""
        there = {name: p for name, p in self.stack.named_parameters() if p.grad is not None}
        transformed, _ = transform_gradients(
            {n: _gradient(p) for n, p in there.items()}, self._convention, self._clip
        )
        for name, parameter in there.items():
            parameter.grad = transformed[name]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The rule over the stacked parameters."""
        parameters: Iterable[nn.Parameter] = self.stack.parameters()
        return self._optimizer(parameters, stacked=True)

    def _log(self, group: str, losses: Tensor) -> None:
        self.log_dict({f"{group}/loss_{k}": loss for k, loss in enumerate(losses.detach())})


def _check_numbers(name: str, given: Any, members: int) -> None:
    if is_dataclass(given):
        for each in fields(given):
            _check_numbers(f"{name}.{each.name}", getattr(given, each.name), members)
    elif isinstance(given, Tensor):
        if given.dim() > 1 or given.numel() not in (1, members):
            raise ValueError(f"{name} is {list(given.shape)} for {members} networks")
    elif isinstance(given, Sequence) and not isinstance(given, str) and len(given) != members:
        raise ValueError(f"{name} has {len(given)} values for {members} networks")


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
