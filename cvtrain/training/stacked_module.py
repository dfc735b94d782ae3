"""`StackedModule`: K networks of a user as one LightningModule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import Callback, StochasticWeightAveraging
from torch import Tensor, nn
from torch.func import vmap

from cvtrain.gradients.clipping import Clip, NoClip
from cvtrain.gradients.convention import Convention
from cvtrain.gradients.stacked_number import Number, column
from cvtrain.gradients.transform import transform_gradients
from cvtrain.models.stacked.network import StackedNetwork
from cvtrain.optim import RuleOptimizer
from cvtrain.training.member_groups import member_groups
from cvtrain.training.schedule import Constant, Schedule, stack_schedules

Loss = Callable[[Tensor, Tensor], Tensor]

_INSTEAD: dict[type, str] = {
    StochasticWeightAveraging: ", and Lightning's WeightAveraging for the averages"
}


class StackedModule(LightningModule):
    """Trains K networks of one architecture as one computation, on the same batches.

    Network k minimises scale_k × loss with its own gradient and hyperparameters, and ends with the
    weights that it would have if trained alone, up to rounding. Every step logs ``train/loss_k``
    for each k, and validation logs ``val/loss_k``. Lightning's ``LearningRateMonitor`` logs the
    learning rate of network k as ``lr-Adam/k``.

    A forward may only change buffers of its network, and only in training mode. Other changes raise
    an error in the first steps.

    Args:
        networks: K modules with their initial weights, which may differ only in the values of
            parameters and buffers. Of a `LightningModule` only `forward` is used. Each of several
            inputs of a batch is passed as an argument.
        loss: function of outputs and targets of one network that returns a real number.
        optimizer: class of `cvtrain.optim` (or a partial), called with the stacked parameters and
            ``stacked=True``; its hyperparameters are numbers or [K] tensors.
        convention, clip: transformation of each network's gradient; numbers may be [K] tensors. The
            Trainer's ``gradient_clip_val`` would clip all networks by one norm and is rejected.
        scale: scale of the objectives, a number or [K].
        seeds: seeds of the networks' random masks (dropout); None: 0, 1, ….
        schedule: function from the number of earlier updates to a factor on the learning rate, as
            made by `cvtrain.schedule`; or a sequence with one per network, None for a constant
            rate. Update t+1 has the learning rate lr · schedule(t).

    Raises:
        ValueError: there is no network, the networks differ in something else or have hooks on
            gradients, or a number of values is not K.
        TypeError: the optimizer is not one of `cvtrain.optim`.
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
        schedule: Schedule | Sequence[Schedule | None] | None = None,
    ) -> None:
        super().__init__()
        if not networks:
            raise ValueError("networks=[]: should be at least one")
        rule = getattr(optimizer, "func", optimizer)  # unwrap functools.partial
        if isinstance(rule, type) and not issubclass(rule, RuleOptimizer):
            raise TypeError(f"optimizer={rule.__name__}: should be one of cvtrain.optim")
        members = range(len(networks))
        numbers = {
            "scale": scale,
            "seeds": seeds,
            "convention": convention,
            "clip": clip,
            "schedule": schedule,
        }
        for name, value in numbers.items():
            _check_numbers(name, value, len(networks))
        self.stack = StackedNetwork(networks, members, members if seeds is None else seeds)
        self._loss, self._optimizer = loss, optimizer
        self._convention = Convention() if convention is None else convention
        self._clip = NoClip() if clip is None else clip
        self._scale = scale
        self._factors: Callable[[int], float | Tensor] | None = (
            stack_schedules([entry or Constant() for entry in schedule])
            if isinstance(schedule, Sequence)
            else schedule
        )
        self._initial_rates: list[Number] = []

    @property
    def members(self) -> int:
        """The number of networks, K."""
        return len(next(iter(self.stack.parameters())))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Outputs [K, N, …] of all networks for the same inputs [N, …], one or several."""
        outputs: Tensor = self.stack(tuple(x.expand(self.members, *x.shape) for x in inputs))
        return outputs

    def losses(self, batch: Sequence[Any]) -> Tensor:
        """The losses [K] of the networks on a batch (inputs, targets), whose inputs may be several,
        in a tuple or list.

        Raises:
            TypeError: the loss is complex.
        """
        inputs, targets = batch
        several = inputs if isinstance(inputs, tuple | list) else (inputs,)
        losses: Tensor = vmap(self._loss, in_dims=(0, None))(self(*several), targets)
        if losses.is_complex():
            raise TypeError("the loss is complex; a loss that is minimised is real")
        return losses

    def state_dict_of(self, member: int) -> dict[str, Tensor]:
        """The state dict of network number `member`, which the plain module loads; views."""
        return self.stack.member_state(member)

    # Hooks that the Trainer calls.

    def on_fit_start(self) -> None:
        """Seed the random masks on the device of the weights.

        Raises:
            ValueError: the Trainer clips gradients; or a scheduler of torch would set one learning
                rate although each network has its own or `schedule` is set.
        """
        if self.trainer.gradient_clip_val:
            raise ValueError(
                f"gradient_clip_val={self.trainer.gradient_clip_val}: should be clip= of"
                " StackedModule, as the Trainer would clip all networks by one norm"
            )
        self._prepare_rates()
        self.stack.seed(self.device)

    def on_train_start(self) -> None:
        """Set the learning rates of the first update, also where training is resumed."""
        self._set_rates()

    def on_train_batch_end(self, *_: Any) -> None:
        """Set the learning rates of the next update."""
        self._set_rates()

    def training_step(self, batch: Sequence[Any], batch_idx: int) -> Tensor:
        """The sum of the K objectives: each network's gradient is that of its own objective."""
        losses = self.losses(batch)
        self._log("train", losses)
        return (column(self._scale, losses) * losses).sum()

    def validation_step(self, batch: Sequence[Any], batch_idx: int) -> None:
        """Log the validation losses ``val/loss_k``."""
        self._log("val", self.losses(batch))

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Apply convention and clip to the gradients."""
        trained = {name: p for name, p in self.stack.named_parameters() if p.grad is not None}
        transformed, _ = transform_gradients(
            {n: _gradient(p) for n, p in trained.items()}, self._convention, self._clip
        )
        for name, parameter in trained.items():
            parameter.grad = transformed[name]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer over the stacked parameters."""
        parameters: Iterable[nn.Parameter] = self.stack.parameters()
        return self._optimizer(parameters, stacked=True)

    def _prepare_rates(self) -> None:
        (optimizer,) = self.trainer.optimizers
        self._initial_rates = [group["lr"] for group in optimizer.param_groups]
        callbacks: list[Callback] = vars(self.trainer)["callbacks"]
        setters: list[object] = [
            *(
                callback
                for callback in callbacks
                if isinstance(callback, StochasticWeightAveraging)
            ),
            *(config.scheduler for config in self.trainer.lr_scheduler_configs),
        ]
        own = any(isinstance(rate, Tensor) for rate in self._initial_rates)
        if setters and (own or self._factors is not None):
            raise ValueError(
                f"{type(setters[0]).__name__} sets one learning rate for all networks: should be"
                f" schedule= of StackedModule{_INSTEAD.get(type(setters[0]), '')}"
            )
        # LearningRateMonitor reads the groups of an optimizer's attribute `optimizer`, if it has
        # one.
        if isinstance(optimizer, RuleOptimizer):
            vars(optimizer)["optimizer"] = member_groups(optimizer, self.members)

    def _set_rates(self) -> None:
        if self._factors is not None:
            factors = self._factors(self.trainer.global_step)
            groups = self.trainer.optimizers[0].param_groups
            for group, rate in zip(groups, self._initial_rates, strict=True):
                group["lr"] = rate * factors

    def _log(self, group: str, losses: Tensor) -> None:
        self.log_dict({f"{group}/loss_{k}": loss for k, loss in enumerate(losses.detach())})


def _check_numbers(name: str, value: Any, members: int) -> None:
    if is_dataclass(value):
        for field in fields(value):
            _check_numbers(f"{name}.{field.name}", getattr(value, field.name), members)
    elif isinstance(value, Tensor):
        if value.dim() > 1 or value.numel() not in (1, members):
            raise ValueError(
                f"{name}: should be a number or {members}, one for each network, not of shape"
                f" {list(value.shape)}"
            )
    elif isinstance(value, Sequence) and not isinstance(value, str) and len(value) != members:
        raise ValueError(f"{name}: should be {members}, one for each network, not {len(value)}")


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
