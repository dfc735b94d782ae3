"""The signals of a training step, for any LightningModule."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from cvtrain.engine.signals import TRACED_ENTRIES, measure

Kept = dict[str, Tensor]


class GradientMonitor(Callback):
    """Logs norms, real and imaginary parts of gradients, updates and weights.

    The gradient is what autograd left, before clipping; the handed one is what the optimizer got.
    They are measured as the engines of cvtrain measure them (`cvtrain.engine.signals.measure`) and
    go straight to the Trainer's loggers, in one call per logged step: `self.log` would cost more
    than the step and keep only the real part of a complex value.

    Args:
        every_n_steps: steps between logged ones.
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

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Watch what the optimizers were handed, after Lightning's clipping."""
        for optimizer in trainer.optimizers:
            # After the step: the closure that makes the gradients runs inside it.
            hook = optimizer.register_step_post_hook(lambda *_: self._keep_handed(module))
            self._hooks.append(hook)

    def on_before_optimizer_step(
        self, trainer: Trainer, module: LightningModule, optimizer: Any
    ) -> None:
        """Keep the weights and autograd's gradients of a step that is logged."""
        self._step = trainer.global_step
        self._gradients = {}
        if self._step % self.every_n_steps == 0:
            trained = _trained(module)
            self._weights = {n: p.detach().clone().unsqueeze(0) for n, p in trained.items()}
            self._gradients = _gradients(trained)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure the update and log it under the step it started from."""
        if not self._gradients:
            return
        after = {n: p.detach().unsqueeze(0) for n, p in _trained(module).items()}
        signals = measure(
            self._weights,
            self._gradients,
            self._handed or self._gradients,
            after,
            elementwise=self.elementwise,
            per_parameter=self.per_parameter,
        )
        values = torch.stack([value.to(torch.float64)[0] for value in signals.values()]).tolist()
        for logger in trainer.loggers:
            logger.log_metrics(dict(zip(signals, values, strict=True)), step=self._step)
        self._gradients, self._handed = {}, {}

    def on_fit_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Stop watching."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _keep_handed(self, module: LightningModule) -> None:
        if self._gradients and not self._handed:
            self._handed = _gradients(_trained(module))


def _trained(module: LightningModule) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def _gradients(trained: dict[str, torch.nn.Parameter]) -> Kept:
    return {
        n: (torch.zeros_like(p) if p.grad is None else p.grad.detach().clone()).unsqueeze(0)
        for n, p in trained.items()
    }
