"""Arguments and callbacks of Lightning's Trainer that are accepted, and replacements for others."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, Trainer, callbacks

from cvtrain.config.own_code import construct
from cvtrain.config.schema import Config
from cvtrain.config.targets import check_arguments, resolve_target
from cvtrain.process.errors import InputError, describe_error
from cvtrain.process.limits import check_process_count
from cvtrain.training.data_parallel import devices_wanted
from cvtrain.training.gradient_convention import GradientConvention
from cvtrain.training.monitor import GradientMonitor

log = logging.getLogger(__name__)

REPLACED_TRAINER_ARGUMENTS = {
    "max_steps": "max_steps",
    "max_epochs": "max_steps (updates, not epochs)",
    "min_steps": "max_steps",
    "min_epochs": "max_steps",
    "max_time": "max_steps",
    "limit_train_batches": "max_steps",
    "limit_val_batches": "signals.validation_every (a validation is of the whole split)",
    "limit_test_batches": "data, whose test split is measured as a whole",
    "limit_predict_batches": "the command evaluate",
    "overfit_batches": "max_steps",
    "fast_dev_run": "max_steps",
    "gradient_clip_val": "clip (norm, modulus or split)",
    "gradient_clip_algorithm": "clip (norm, modulus or split)",
    "logger": "logger=wandb or logger=mlflow (TensorBoard and metrics.csv are always written)",
    "log_every_n_steps": "signals.scalars_every",
    "val_check_interval": "signals.validation_every",
    "check_val_every_n_epoch": "signals.validation_every",
    "enable_checkpointing": "checkpoint",
    "default_root_dir": "output",
    "num_nodes": "hydra/launcher=slurm or ray, which spread sweeps (a run is on one machine)",
    "num_sanity_val_steps": "signals.validation_every (the initial weights are validated)",
    "reload_dataloaders_every_n_epochs": "data, which a run reads once",
    "sync_batchnorm": "trainer.devices=1 for a network with batch normalisation",
    "strategy": "trainer.devices (several processes, DistributedDataParallel)",
}
MOST_ACCUMULATED = 10_000
"""Largest number of batches per update; a signal ends training only between updates."""
HARMLESS: dict[str, Any] = {
    "num_nodes": 1,
    "strategy": "auto",
    "num_sanity_val_steps": 0,
    "reload_dataloaders_every_n_epochs": 0,
    "sync_batchnorm": False,
}
"""Values of `REPLACED_TRAINER_ARGUMENTS` that have no effect and are accepted."""

PRECISIONS = {
    "16-true": "would silently cast complex weights to real",
    "bf16-true": "would silently cast complex weights to real",
    "64-true": "would leave complex weights complex64; use dtype=complex128",
    "16-mixed": "would autocast the real layers and leave the complex ones",
    "bf16-mixed": "would autocast the real layers and leave the complex ones",
}
"""Precisions of Lightning that are rejected, with the reason."""
SINGLE_PRECISION = (None, 32, "32", "32-true")

FIXED: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "max_epochs": -1,
}

PROFILERS = (None, "simple", "advanced", "pytorch")

LOGGED = {
    "lightning.pytorch": logging.ERROR,
    "lightning.pytorch.profilers": logging.INFO,
    "lightning.pytorch.callbacks.model_summary": logging.INFO,
}
"""Loggers of Lightning, with the level from which their messages are shown."""

REPLACED_CALLBACKS: dict[type[Callback], str] = {
    callbacks.EarlyStopping: "use early_stopping.patience and early_stopping.metric",
    callbacks.Checkpoint: "use checkpoint.every_n_steps (best.ckpt and last.ckpt are always there)",
    callbacks.OnExceptionCheckpoint: "use checkpoint.every_n_steps",
    callbacks.StochasticWeightAveraging: "use ema.decay",
    callbacks.WeightAveraging: "use ema.decay",
    callbacks.LearningRateMonitor: "train/lr is always recorded",
    callbacks.LearningRateFinder: "sweep lr_octave (+experiment=sweep), or optimizer.lr",
    callbacks.BatchSizeFinder: "set batch_size",
    callbacks.GradientAccumulationScheduler: "use trainer.accumulate_grad_batches",
    callbacks.BasePredictionWriter: "use the command: evaluate RUN --predictions FILE.npz",
    callbacks.DeviceStatsMonitor: "there is no logger of Lightning's that it could write to",
    callbacks.ThroughputMonitor: "there is no logger of Lightning's that it could write to",
    callbacks.BaseFinetuning: "start from weights with start_from, and freeze layers in the network"
    " (requires_grad_(False))",
    callbacks.ModelPruning: "prune the network of a checkpoint: the callback renames its parameters"
    " while it is trained",
    GradientConvention: "use convention.scale and convention.conjugate",
    GradientMonitor: "use signals.scalars_every; the same is always recorded",
}
"""Callbacks (and their subclasses) that cannot work in a run, with their replacements: a run has no
Lightning logger, no validation loop, a single epoch, and its own checkpoints."""

CALLBACKS_SHAPE = (
    "should be a list of callbacks, such as [{_target_: lightning.pytorch.callbacks.Timer}]"
)


class UninterruptedTrainer(Trainer):
    """A Trainer that ends only when the module sets `should_stop`.

    Lightning would end the loop at a SIGTERM before checkpoints are written, and in only one of
    several processes.
    """

    @property
    def received_sigterm(self) -> bool:
        """False: `TrainingModule` handles signals."""
        return False


def trainer_arguments(config: Config) -> dict[str, Any]:
    """Keyword arguments for `lightning.pytorch.Trainer`, without `callbacks`.

    Raises:
        InputError: an argument is replaced by a key of cvtrain, is unknown to Lightning, or would
            cast complex weights to real.
    """
    arguments = dict(config.trainer)
    for name, value in arguments.items():
        if name in REPLACED_TRAINER_ARGUMENTS and value is not None and value != HARMLESS.get(name):
            instead = REPLACED_TRAINER_ARGUMENTS[name]
            raise InputError(f"trainer.{name}={value}: should be left out; use {instead}")
    precision = arguments.get("precision")
    if precision not in SINGLE_PRECISION:
        reason = PRECISIONS.get(str(precision), "does not keep complex weights as they are")
        raise InputError(f"trainer.precision={precision}: should be 32-true; this {reason}")
    if arguments.get("profiler") not in PROFILERS:
        known = ", ".join(name for name in PROFILERS if name)
        raise InputError(f"trainer.profiler={arguments['profiler']}: should be one of {known}")
    arguments.pop("callbacks", None)
    checked = check_arguments("trainer", Trainer, arguments)
    devices = devices_wanted(checked)
    accumulated = checked.get("accumulate_grad_batches", 1)
    if not 1 <= accumulated <= MOST_ACCUMULATED:
        raise InputError(
            f"trainer.accumulate_grad_batches={accumulated}: should be at least 1 and at most"
            f" {MOST_ACCUMULATED:,}"
        )
    accelerator = _accelerator(checked.get("accelerator", "auto"), config)
    if devices > 1 and accelerator != "cpu" and torch.cuda.device_count() < devices:
        raise InputError(
            f"trainer.devices={devices}: should be at most {torch.cuda.device_count()}, the CUDA"
            " devices that torch finds here; trainer.accelerator=cpu takes processes instead"
        )
    check_process_count("trainer.devices", devices)
    # Each of several processes uses one device, the one of its rank.
    ranked = devices > 1 and accelerator == "cuda" and dist.is_initialized()
    checked["devices"] = [dist.get_rank()] if ranked else 1
    checked["accelerator"] = accelerator
    # In a SLURM job Lightning would submit the job again by itself.
    checked.setdefault("plugins", [LightningEnvironment()])
    return {**FIXED, **checked, "max_steps": config.max_steps}


def new_trainer(config: Config) -> UninterruptedTrainer:
    """The Trainer of one run or stack, with its own callbacks.

    Raises:
        InputError: an argument or a callback is not valid.
    """
    callbacks = configured_callbacks(config)
    return UninterruptedTrainer(**trainer_arguments(config), callbacks=callbacks)


def check_trainer(config: Config) -> None:
    """Check the arguments of the Trainer by constructing it.

    Raises:
        InputError: Lightning rejects an argument.
    """
    arguments, callbacks = trainer_arguments(config), configured_callbacks(config)
    for callback in callbacks:
        if names := _hooks_of_validation(callback):
            log.warning(
                "%s: %s will not be called: a run has no validation loop of Lightning's; val/…"
                " is measured every signals.validation_every updates",
                type(callback).__name__,
                ", ".join(names),
            )
    try:
        with quiet_lightning():
            UninterruptedTrainer(**arguments, callbacks=callbacks)
    except Exception as error:  # Lightning's errors, missing packages
        shown = ", ".join(f"{name}={value}" for name, value in config.trainer.items())
        raise InputError(f"trainer: Lightning refuses {shown}: {describe_error(error)}") from None


def _hooks_of_validation(callback: Callback) -> list[str]:
    """The hooks of a user's callback that are never called, since a run does not use Lightning's
    validation loop."""
    return [
        name
        for name in vars(Callback)
        if name.startswith(("on_validation_", "on_test_", "on_sanity_"))
        and getattr(type(callback), name) is not getattr(Callback, name)
        and not getattr(type(callback), name).__module__.startswith("lightning.")
    ]


def configured_callbacks(config: Config) -> list[Callback]:
    """The callbacks that `callbacks` and `trainer.callbacks` request.

    Raises:
        InputError: the value is not a list of callbacks, or one of them cannot work in a run.
    """
    own = [_callback(f"callbacks[{i}]", slot, config) for i, slot in enumerate(config.callbacks)]
    slots = config.trainer.get("callbacks")
    if slots is None:
        return own
    if not isinstance(slots, list | tuple):
        raise InputError(f"trainer.callbacks={slots}: {CALLBACKS_SHAPE}")
    return own + [
        _callback(f"trainer.callbacks[{index}]", slot, config) for index, slot in enumerate(slots)
    ]


def _callback(key: str, slot: Any, config: Config) -> Callback:
    if isinstance(slot, str):
        slot = {"_target_": slot}
    if not isinstance(slot, dict) or "_target_" not in slot:
        raise InputError(f"{key}={slot}: {CALLBACKS_SHAPE}")
    path = str(slot["_target_"])
    kind = resolve_target(key, path, Callback, config.trusted_modules)
    for replaced, instead in REPLACED_CALLBACKS.items():
        if isinstance(kind, type) and issubclass(kind, replaced):
            raise InputError(f"{key}._target_={path}: should be left out; {instead}")
    arguments = {name: value for name, value in slot.items() if name != "_target_"}
    callback: Callback = construct(key, kind, arguments, {})
    shown = config.trainer.get("enable_progress_bar")
    if isinstance(callback, callbacks.ProgressBar) and not shown:
        raise InputError(
            f"{key}._target_={path}: should come with +trainer.enable_progress_bar=true"
        )
    return callback


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Context that silences Lightning's advice on features that cvtrain replaces; profiles and
    summaries that the user requested are shown."""
    before = {name: logging.getLogger(name).level for name in LOGGED}
    for name, level in LOGGED.items():
        logging.getLogger(name).setLevel(level)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        try:
            yield
        finally:
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)


def _accelerator(setting: Any, config: Config) -> str:
    known = {"auto", "cpu", "gpu", "cuda", "mps"}
    if setting not in known:
        raise InputError(
            f"trainer.accelerator={setting}: should be one of {', '.join(sorted(known))}"
        )
    cuda = torch.cuda.is_available()
    if setting == "auto":
        # Not MPS, on which torch implements complex numbers only in part.
        return "cuda" if cuda else "cpu"
    if setting == "mps" and config.dtype == "complex128":
        raise InputError(
            "trainer.accelerator=mps: should be cpu for dtype=complex128, which MPS does not have"
        )
    if setting == "mps" and not torch.backends.mps.is_available():
        raise InputError("trainer.accelerator=mps: should be cpu; torch finds no MPS device here")
    if setting in ("gpu", "cuda") and not cuda:
        raise InputError(
            f"trainer.accelerator={setting}: should be cpu; torch finds no CUDA device here"
        )
    return "cuda" if setting == "gpu" else str(setting)


assert set(REPLACED_TRAINER_ARGUMENTS) | set(FIXED) <= set(inspect.signature(Trainer).parameters)
