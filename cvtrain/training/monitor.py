"""`GradientMonitor`: the signals of an update, for any LightningModule."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.nn import Parameter

from cvtrain.training.autograd_gradients import AutogradGradients
from cvtrain.training.signals import TRACED_ENTRIES, measure
from cvtrain.training.stacked_module import StackedModule

Tensors = dict[str, Tensor]


class GradientMonitor(Callback):
    """Logs norms, real and imaginary parts of gradients, updates and weights.

    ``grad/…`` is the gradient that autograd computed, before any clipping (by the Trainer, by
    `clip_gradients` or in a hook of the module) and without the scale of mixed precision. A hook on
    the parameter itself (`Tensor.register_hook`) counts as part of autograd. ``optimizer_grad/…``
    is the gradient that the optimizer received. `cvtrain.training.signals.measure` lists the
    signals. They are sent to the Trainer's loggers in one call per logged step; `self.log` would
    take longer than the step, and keep only the real part of complex values.

    A row has the step at which `self.log` logs values of the same batch, however many optimizers
    step in it. Steps are counted from step 0 of the training, also after resuming from a
    checkpoint. A batch without an update, e.g. if `training_step` returns None, has no row.

    With a `StackedModule` each of the K networks has its own signals, with the names of the plain
    network's parameters and the network's index at the end: ``grad/norm_0``, ``grad/norm_1``, ….

    Args:
        every_n_steps: number of steps between rows. A batch in which several optimizers step, or
            one steps several times, is one row with the first step of each.
        elementwise: complex parameters of at most this many entries are traced entry by entry,
            larger ones at four fixed entries.
        per_parameter: add the gradient norms of each parameter.

    Raises:
        ValueError: `every_n_steps` is less than 1.
    """

    def __init__(
        self,
        every_n_steps: int = 10,
        elementwise: int = TRACED_ENTRIES,
        per_parameter: bool = False,
    ) -> None:
        if every_n_steps < 1:
            raise ValueError(f"every_n_steps={every_n_steps}: should be at least 1")
        self.every_n_steps = every_n_steps
        self.elementwise = elementwise
        self.per_parameter = per_parameter
        self._weights: Tensors = {}
        self._gradients: Tensors = {}
        self._transformed: Tensors = {}
        self._next_weights: Tensors = {}
        self._hooks: list[Any] = []
        self._autograd: AutogradGradients | None = None
        self._step = 0
        self._logged: int | None = None

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Register hooks on the optimizers' steps; without a logger only warn."""
        self._stop()  # an earlier training may have ended before any hook of its end
        self._logged = None
        if not trainer.loggers:
            rank_zero_warn("GradientMonitor logs nothing: the Trainer has no logger (logger=False)")
            return
        for optimizer in trainer.optimizers:
            keep = partial(self._keep, trainer, module, optimizer)
            self._hooks += [
                optimizer.register_step_pre_hook(partial(_before_update, keep)),
                optimizer.register_step_post_hook(partial(self._keep_next, module)),
            ]

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Follow autograd if an update in this batch is logged."""
        if not self._hooks:
            return
        # The number of batches after which an optimizer stepped: the step that `self.log` uses.
        self._step = trainer.fit_loop.epoch_loop._batches_that_stepped
        window = self._step // self.every_n_steps
        if self._logged is None:
            # Not in `on_train_start`: Lightning completes the number later when it resumes.
            self._logged = (self._step - 1) // self.every_n_steps
        if window != self._logged and self._autograd is None:
            self._autograd = AutogradGradients(_named(module))

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure the update and log it under the step it started from."""
        if not self._next_weights:
            return
        signals = measure(
            self._weights,
            self._gradients,
            self._transformed,
            self._next_weights,
            elementwise=self.elementwise,
            per_parameter=self.per_parameter,
        )
        values = torch.stack([value.to(torch.float64) for value in signals.values()]).tolist()
        stacked = isinstance(module, StackedModule)
        metrics = {
            f"{tag}_{member}" if stacked else tag: value
            for tag, members in zip(signals, values, strict=True)
            for member, value in enumerate(members)
        }
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=self._step)
        self._logged = self._step // self.every_n_steps
        self._forget()

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Remove the hooks."""
        self._stop()

    def on_exception(
        self, trainer: Trainer, module: LightningModule, exception: BaseException
    ) -> None:
        """Remove the hooks."""
        self._stop()

    def _stop(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        self._forget()

    def _forget(self) -> None:
        if self._autograd is not None:
            self._autograd.remove()
        self._autograd = None
        self._weights, self._gradients, self._transformed, self._next_weights = {}, {}, {}, {}

    def _keep(self, trainer: Trainer, module: LightningModule, optimizer: Any) -> None:
        """Copy weights and gradients before an optimizer's first update in a logged batch, at its
        first evaluation if it evaluates several times."""
        trained = _trained(module, optimizer)
        if self._autograd is None or all(p.grad is None for p in trained.values()):
            return
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        scale = None if scaler is None else scaler.get_scale()
        # The factor by which an optimizer that unscales by itself will divide.
        pending_scale = getattr(optimizer, "grad_scale", None)
        row = _row(module)
        for name, p in trained.items():
            if name in self._gradients:
                continue
            transformed = (
                torch.zeros_like(p) if p.grad is None else p.grad.detach().to_dense().clone()
            )
            if pending_scale is not None:
                transformed = transformed / pending_scale.to(transformed.device)
            computed = self._autograd.of(name)
            gradient = transformed if computed is None else computed
            if computed is not None and scale is not None:
                gradient = computed / scale
            self._weights[name] = row(p.detach().clone())
            self._gradients[name] = row(gradient)
            self._transformed[name] = row(transformed)

    def _keep_next(self, module: LightningModule, optimizer: Any, *_: Any) -> None:
        if self._gradients:
            for name, p in _trained(module, optimizer).items():
                if name in self._gradients and name not in self._next_weights:
                    self._next_weights[name] = _row(module)(p.detach().clone())


def _named(module: LightningModule) -> dict[str, Parameter]:
    """The parameters by their names in the module, or in the plain network of a stack."""
    plain = module.stack.network if isinstance(module, StackedModule) else module
    return dict(plain.named_parameters())


def _row(module: LightningModule) -> Callable[[Tensor], Tensor]:
    """Add the leading axis of K networks to a tensor of a parameter, if it is not a stack's."""
    return (lambda tensor: tensor) if isinstance(module, StackedModule) else _with_axis


def _with_axis(tensor: Tensor) -> Tensor:
    return tensor.unsqueeze(0)


def _trained(module: LightningModule, optimizer: Any) -> dict[str, Parameter]:
    """The parameters that an optimizer trains, by name."""
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return {name: p for name, p in _named(module).items() if id(p) in trained and p.requires_grad}


def _before_update(
    keep: Callable[[], None], optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """A pre-hook of `step` that calls `keep` before parameters change: after each evaluation of the
    closure, which computes the gradients, or at once if there is no closure."""
    positional = len(args) > 1  # the first argument is the optimizer
    closure = args[1] if positional else kwargs.get("closure")
    if closure is None:
        keep()
        return None

    def keeping_closure() -> Any:
        objective = closure()
        keep()
        return objective

    if positional:
        return (args[0], keeping_closure, *args[2:]), kwargs
    return args, {**kwargs, "closure": keeping_closure}
