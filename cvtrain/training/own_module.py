"""Check a user's LightningModule that replaces network and loss.

The engine calls its `training_step` with pairs of inputs and targets, and does everything else
itself: backward, convention, clipping, the update. `cvtrain.training.own_steps` calls the steps.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.hooks import CheckpointHooks, DataHooks, ModelHooks
from torch import nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from cvtrain.config.schema import Config
from cvtrain.process.errors import InputError, describe_error
from cvtrain.training.network import RATE
from cvtrain.training.optimizer import build_optimizer
from cvtrain.training.schedule import learning_rate_factor

CALLED = tuple(
    f"on_{kind}_epoch_{moment}" for kind in ("validation", "test") for moment in ("start", "end")
)
"""Hooks that the engine calls around each evaluation of a split."""

NOT_CALLED = (
    *(name for hooks in (ModelHooks, DataHooks, CheckpointHooks) for name in vars(hooks)),
    *("configure_callbacks", "backward", "configure_gradient_clipping", "lr_scheduler_step"),
    *("optimizer_step", "optimizer_zero_grad", "clip_gradients"),
)
"""Hooks of Lightning that the engine does not call, except those in `CALLED`."""

INSTEAD = {
    "_dataloader": "data=custom takes data",
    "prepare_data": "data=custom takes data",
    "configure_callbacks": "callbacks=[…] takes them",
    "configure_gradient_clipping": "clip=norm, modulus or split clips",
    "on_": "a callback (callbacks=[…]) may do the same",
}
"""Replacements for hooks, by a part of their names."""


def check_module(config: Config, module: nn.Module) -> LightningModule:
    """Check that the engine can train a module by its `training_step`.

    Raises:
        InputError: it cannot; the message has the reason.
    """
    setting = f"module._target_={config.model.target}"
    if not isinstance(module, LightningModule) or not overrides(module, "training_step"):
        raise InputError(f"{setting}: should be a LightningModule with a training_step")
    if not module.automatic_optimization:
        raise InputError(
            f"{setting}: should have automatic_optimization: in manual optimization its"
            " training_step steps by itself, before convention and clip"
        )
    for name in NOT_CALLED:
        if name in CALLED or "predict" in name or name.startswith("_"):
            continue
        if overrides(module, name):
            part = next((part for part in INSTEAD if part in name), None)
            instead = f"; {INSTEAD[part]}" if part is not None else ""
            raise InputError(f"{setting}: should have no {name}, which is not called{instead}")
    return module


def overrides(module: LightningModule, name: str) -> bool:
    """Whether the class of a module overrides a method of Lightning."""
    return getattr(type(module), name) is not getattr(LightningModule, name)


def own_module(config: Config, network: nn.Module) -> LightningModule | None:
    """The network as a module with its own `training_step`, or None if it has none."""
    if config.module.target is None:
        return None
    assert isinstance(network, LightningModule)  # others are rejected before training
    return network


def optimizer_and_schedule(
    config: Config, network: nn.Module
) -> tuple[torch.optim.Optimizer, LRScheduler | None]:
    """The optimizer of a network and its learning rate schedule (None if rates are constant).

    They are those that the configuration names, or those of the `configure_optimizers` of a user's
    module. The latter must be the same, except for the schedule and parameter groups, because the
    configuration identifies runs and determines the laws.

    Raises:
        InputError: the optimizer or the schedule is not valid.
    """
    own = own_module(config, network)
    if own is None or not overrides(own, "configure_optimizers"):
        optimizer, scheduler = build_optimizer(config, network), None
    else:
        optimizer, scheduler = _configured(config, own)
    factor = learning_rate_factor(config.scheduler, config.max_steps, config.trusted_modules)
    if factor is None:
        return optimizer, scheduler
    if scheduler is not None:
        raise InputError(
            f"scheduler={config.scheduler.kind}: should be constant, as configure_optimizers of"
            f" {type(network).__name__} makes a schedule"
        )
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def _configured(
    config: Config, module: LightningModule
) -> tuple[torch.optim.Optimizer, LRScheduler | None]:
    name = f"configure_optimizers of {type(module).__name__}"
    if not set(RATE) & set(inspect.signature(type(module)).parameters):
        raise InputError(
            f"module._target_={config.model.target}: should have an argument lr, which optimizer.lr"
            " fills in, for its configure_optimizers; or no configure_optimizers"
        )
    try:
        made = module.configure_optimizers()
    except Exception as error:  # a user's module may raise anything
        raise InputError(f"module: {name} failed: {describe_error(error)}") from error
    optimizer, scheduler = _only_one(name, made)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise InputError(f"module: {name} should return an optimizer, is {optimizer}")
    _check_as_configured(config, module, optimizer)
    return optimizer, _stepwise(name, scheduler)


def _only_one(name: str, made: Any) -> tuple[Any, Any]:
    """Optimizer and schedule (or None) from any result that `configure_optimizers` may return."""
    if isinstance(made, tuple) and len(made) == 2 and all(isinstance(m, list) for m in made):
        optimizers, schedulers = made
    else:
        optimizers = list(made) if isinstance(made, list | tuple) else [made]
        schedulers = []
    if len(optimizers) != 1 or len(schedulers) > 1:
        raise InputError(
            f"module: {name} should return one optimizer with at most one schedule, as several need"
            " manual optimization"
        )
    (optimizer,) = optimizers
    if isinstance(optimizer, Mapping):
        return optimizer.get("optimizer"), optimizer.get("lr_scheduler")
    return optimizer, schedulers[0] if schedulers else None


def _stepwise(name: str, scheduler: Any) -> LRScheduler | None:
    if scheduler is None:
        return None
    settings = dict(scheduler) if isinstance(scheduler, Mapping) else {"scheduler": scheduler}
    made, interval = settings.get("scheduler"), settings.get("interval", "epoch")
    if not isinstance(made, LRScheduler) or isinstance(made, ReduceLROnPlateau):
        raise InputError(
            f"module: {name} makes a {type(made).__name__}: should be a schedule of the step alone"
        )
    if interval != "step" or settings.get("frequency", 1) != 1:
        raise InputError(
            f"module: {name}: the schedule should have 'interval': 'step', as"
            " {'scheduler': …, 'interval': 'step'}: a run is counted in updates, not epochs"
        )
    return made


def _check_as_configured(
    config: Config, module: LightningModule, optimizer: torch.optim.Optimizer
) -> None:
    """Compare an optimizer with that of the configuration.

    Raises:
        InputError: its class, a hyperparameter or a rate differs.
    """
    wanted, made = build_optimizer(config, module), type(optimizer)
    name = f"which configure_optimizers of {type(module).__name__} sets"
    if made is not type(wanted):
        path = f"{made.__module__}.{made.__qualname__}"
        known = made.__name__.lower()
        raise InputError(
            f"optimizer._target_={config.optimizer.target}: should be {path}, {name}"
            f" (optimizer={known}, or optimizer=custom optimizer._target_=…)"
        )
    for key, value in wanted.defaults.items():
        theirs = optimizer.defaults.get(key, value)
        if key != "lr" and theirs != value:
            raise InputError(f"optimizer.{key}={value}: should be {theirs}, {name}")
    keys = ("lr", "initial_lr")
    rates = {
        group.get(key) for group in (optimizer.defaults, *optimizer.param_groups) for key in keys
    }
    if config.optimizer.lr not in rates:
        shown = ", ".join(f"{rate:g}" for rate in sorted(r for r in rates if r is not None))
        raise InputError(
            f"optimizer.lr={config.optimizer.lr:g}: should be the rate {name}, which is {shown}:"
            " it is filled in as the module's argument lr"
        )
