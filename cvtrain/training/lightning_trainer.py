"""Which of Lightning's Trainer arguments are taken, and why the others are not."""

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
from lightning.pytorch import Trainer

from cvtrain.config.schema import Config
from cvtrain.config.targets import check_arguments
from cvtrain.process.errors import InputError, told
from cvtrain.process.process_count import check_process_count
from cvtrain.training.data_parallel import devices_wanted
from cvtrain.training.trainer_callbacks import callbacks_of

REPLACED_TRAINER_ARGUMENTS = {
    "max_steps": "max_steps",
    "max_epochs": "max_steps (updates, not epochs)",
    "min_steps": "max_steps",
    "min_epochs": "max_steps",
    "max_time": "max_steps",
    "limit_train_batches": "max_steps",
    "limit_val_batches": "signals.validation_every (a validation is of the whole split)",
    "limit_test_batches": "data, whose test split is measured as a whole",
    "limit_predict_batches": "python -m cvtrain evaluate",
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
"""Batches of an update, which is not left before its last one."""
HARMLESS: dict[str, Any] = {
    "num_nodes": 1,
    "strategy": "auto",
    "num_sanity_val_steps": 0,
    "reload_dataloaders_every_n_epochs": 0,
    "sync_batchnorm": False,
}
"""Values of `REPLACED_TRAINER_ARGUMENTS` that ask for what is done anyway."""

PRECISIONS = {
    "16-true": "it makes complex weights real, without a word",
    "bf16-true": "it makes complex weights real, without a word",
    "64-true": "it leaves complex weights complex64; dtype=complex128 does what it promises",
    "16-mixed": "autocast would narrow the real layers and leave the complex ones",
    "bf16-mixed": "autocast would narrow the real layers and leave the complex ones",
}
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
"""Lightning's loggers, and what of each is shown."""


class UninterruptedTrainer(Trainer):
    """Leaves at the step at which `cvtrain.training.module` says so: Lightning would end a loop by
    itself where a SIGTERM came, saved or not, and in one of several processes alone."""

    @property
    def received_sigterm(self) -> bool:
        """Whether Lightning is to do something about a signal."""
        return False


def trainer_arguments(config: Config) -> dict[str, Any]:
    """Keyword arguments for `lightning.pytorch.Trainer`.

    Raises:
        InputError: an argument that has a key of ours, that Lightning does not know, or that would
            cost complex weights their imaginary part.
    """
    given = dict(config.trainer)
    for name, value in given.items():
        if name in REPLACED_TRAINER_ARGUMENTS and value is not None and value != HARMLESS.get(name):
            raise InputError(f"trainer.{name}={value}: use {REPLACED_TRAINER_ARGUMENTS[name]}")
    precision = given.get("precision")
    if precision not in SINGLE_PRECISION:
        reason = PRECISIONS.get(str(precision), "only 32-true keeps complex weights as they are")
        raise InputError(f"trainer.precision={precision}: refused: {reason} (use dtype)")
    if given.get("profiler") not in PROFILERS:
        known = ", ".join(name for name in PROFILERS if name)
        raise InputError(f"trainer.profiler={given['profiler']}: should be one of {known}")
    given.pop("callbacks", None)
    callbacks = callbacks_of(config)
    checked = check_arguments("trainer", Trainer, given)
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
            f"trainer.devices={devices}: torch finds {torch.cuda.device_count()} CUDA devices here;"
            " trainer.accelerator=cpu takes processes instead"
        )
    check_process_count("trainer.devices", devices)
    # Each process has one device; the others are those of other processes.
    checked["devices"] = [dist.get_rank()] if devices > 1 and _beside_others(accelerator) else 1
    checked["accelerator"] = accelerator
    # In a SLURM job Lightning would hand that in again by itself.
    checked.setdefault("plugins", [LightningEnvironment()])
    return {**FIXED, **checked, "max_steps": config.max_steps, "callbacks": callbacks}


def check_trainer(config: Config) -> None:
    """Make the Trainer that the run would have, and forget it.

    Raises:
        InputError: Lightning refuses its arguments.
    """
    arguments = trainer_arguments(config)
    try:
        with quiet_lightning():
            UninterruptedTrainer(**arguments)
    except Exception as error:  # Lightning's own, a package that is not there
        given = ", ".join(f"{name}={value}" for name, value in config.trainer.items())
        raise InputError(f"trainer: Lightning refuses {given}: {told(error)}") from None


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's advice about features that are replaced here on purpose; a profile or a
    summary that was asked for is shown."""
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


def _beside_others(accelerator: str) -> bool:
    return accelerator == "cuda" and dist.is_initialized()


def _accelerator(wanted: Any, config: Config) -> str:
    known = {"auto", "cpu", "gpu", "cuda", "mps"}
    if wanted not in known:
        raise InputError(f"trainer.accelerator={wanted}: one of {', '.join(sorted(known))}")
    cuda = torch.cuda.is_available()
    if wanted == "auto":
        # Not MPS: torch implements complex numbers there only in part.
        return "cuda" if cuda else "cpu"
    if wanted == "mps" and config.dtype == "complex128":
        raise InputError(
            "trainer.accelerator=mps: MPS has no complex128; use dtype=complex64 or cpu"
        )
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise InputError("trainer.accelerator=mps: torch finds no MPS device here")
    if wanted in ("gpu", "cuda") and not cuda:
        raise InputError(f"trainer.accelerator={wanted}: torch finds no CUDA device here")
    return "cuda" if wanted == "gpu" else str(wanted)


assert set(REPLACED_TRAINER_ARGUMENTS) | set(FIXED) <= set(inspect.signature(Trainer).parameters)
