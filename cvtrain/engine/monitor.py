"""The signals of a training step, for any LightningModule."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn import Parameter

from cvtrain.engine.signals import TRACED_ENTRIES, measure

Kept = dict[str, Tensor]


class GradientMonitor(Callback):
    """Logs norms, real and imaginary parts of gradients, updates and weights.

    The gradient is what autograd left, before clipping; the handed one is what the optimizer got.
    They are measured as the engines of cvtrain measure them (`cvtrain.engine.signals.measure`) and
    go straight to the Trainer's loggers, in one call per logged step: `self.log` would cost more
    than the step and keep only the real part of a complex value.

    Args:
        every_n_steps: steps between logged ones; a batch in which several optimizers step is one
            row, of what each of them did first.
        elementwise: complex parameters of at most so many entries are traced entry by entry,
            larger ones at four fixed entries.
        per_parameter: add the gradient norms of each parameter.
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
        self._weights: Kept = {}
        self._gradients: Kept = {}
        self._handed: Kept = {}
        self._hooks: list[Any] = []
        self._step = 0
        self._logged = -1

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Watch what the optimizers were handed, after Lightning's clipping."""
        self._logged = (trainer.global_step - 1) // self.every_n_steps
        for optimizer in trainer.optimizers:
            keep = partial(self._keep_handed, module, optimizer)
            self._hooks.append(optimizer.register_step_pre_hook(partial(_after_closure, keep)))
            # Where there is no closure, as in manual optimization.
            self._hooks.append(optimizer.register_step_post_hook(lambda *_, keep=keep: keep()))

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note the step that an update in this batch would start from."""
        self._step = trainer.global_step

    def on_before_optimizer_step(
        self, trainer: Trainer, module: LightningModule, optimizer: Any
    ) -> None:
        """Keep weights and autograd's gradients of a step that is logged, before the optimizer's
        first step in this batch: where it evaluates often, those of its first evaluation."""
        if self._step // self.every_n_steps == self._logged:
            return
        for name, p in _trained(module, optimizer).items():
            if name not in self._gradients:
                self._weights[name] = p.detach().clone().unsqueeze(0)
                self._gradients[name] = _gradient(p)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure the update and log it under the step it started from."""
        if not self._gradients:
            return
        trained = dict(module.named_parameters())
        after = {name: trained[name].detach().unsqueeze(0) for name in self._gradients}
        signals = measure(
            self._weights,
            self._gradients,
            self._gradients | self._handed,
            after,
            elementwise=self.elementwise,
            per_parameter=self.per_parameter,
        )
        values = torch.stack([value.to(torch.float64)[0] for value in signals.values()]).tolist()
        for logger in trainer.loggers:
            logger.log_metrics(dict(zip(signals, values, strict=True)), step=self._step)
        self._logged = self._step // self.every_n_steps
        self._weights, self._gradients, self._handed = {}, {}, {}

    def on_fit_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Stop watching."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _keep_handed(self, module: LightningModule, optimizer: Any) -> None:
        if self._gradients:
            for name, p in _trained(module, optimizer).items():
                if name in self._gradients and name not in self._handed:
                    self._handed[name] = _gradient(p)


def _trained(module: LightningModule, optimizer: Any) -> dict[str, Parameter]:
    """The parameters that an optimizer trains, by their names in the module."""
    own = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return {name: p for name, p in module.named_parameters() if id(p) in own and p.requires_grad}


def _after_closure(
    keep: Callable[[], None], optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Call `keep` after the closure, which makes the gradients inside of the step."""
    closure = kwargs.get("closure")
    if closure is None:
        return None

    def kept() -> Any:
        objective = closure()
        keep()
        return objective

    return args, {**kwargs, "closure": kept}


def _gradient(parameter: Parameter) -> Tensor:
    gradient = parameter.grad
    kept = torch.zeros_like(parameter) if gradient is None else gradient.detach().clone()
    return kept.unsqueeze(0)
