"""Make the network of a configuration, with the initial weights that a seed draws."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from cvtrain.config.schema import Config
from cvtrain.config.targets import check_arguments, resolve_target
from cvtrain.data.dataset import Dataset
from cvtrain.models.parameters import cast_parameters, jitter_parameters, put_weights
from cvtrain.process.errors import InputError, describe_error
from cvtrain.process.regular_file import is_directory, kind_of
from cvtrain.runs.checkpoint import checkpoint_path, load_checkpoint

RATE = ("lr", "learning_rate")
"""Arguments of a user's LightningModule that `optimizer.lr` fills in."""

JITTER_STREAM = 0x6A697474
"""Separates the noise of `init_jitter` from the initial weights, which are drawn from the same
seed."""


def build_model(config: Config, dataset: Dataset) -> nn.Module:
    """The network of a configuration in its precision, with initial weights.

    The weights are drawn with `config.seed` in complex128, so that they are the same in both
    precisions up to rounding; or they are those of `config.start_from`. The global random state
    does not change.

    Raises:
        InputError: the class may not be named, or it or one of its arguments is not valid.
    """
    own = config.module.target is not None
    key = "module" if own else "model"
    network = resolve_target(key, config.model.target, nn.Module, config.trusted_modules)
    filled: dict[str, Any] = {
        "in_features": dataset.in_features,
        "input_shape": dataset.input_shape,
        "out_features": dataset.out_features,
        "dtype": torch.complex128,
    }
    chosen = {name: value for name, value in config.model.arguments.items() if value is not None}
    if own:
        filled |= {**dict.fromkeys(RATE, config.optimizer.lr), "max_steps": config.max_steps}
        for name in RATE:
            if name in chosen and name in signature(network).parameters:
                raise InputError(
                    f"module.{name}={chosen[name]}: should be left out; optimizer.lr is filled in"
                )
    else:
        _check_inputs(config, network, len(dataset.first.each_input))
    arguments = check_arguments(key, network, chosen, frozenset(filled))
    taken = signature(network).parameters
    accepted = {name: value for name, value in filled.items() if name in taken}
    with torch.random.fork_rng(devices=[]):
        _seed(config.seed)
        try:
            model: nn.Module = network(**{**accepted, **arguments})
        except Exception as error:  # a user's network may raise anything
            name = network.__name__
            raise InputError(
                f"{key}: {name} refuses its arguments: {describe_error(error)}"
            ) from None
    lazy = [name for name, p in model.named_parameters() if is_lazy(p)]
    if lazy:
        raise InputError(
            f"{key}._target_={config.model.target}: should have the sizes of its layers before a"
            f" batch comes (nn.Linear in place of nn.LazyLinear); {lazy[0]} has none"
        )
    if config.start_from is not None:
        load_initial_weights(model, config.start_from)
    if config.init_jitter > 0:
        generator = torch.Generator().manual_seed(config.seed ^ JITTER_STREAM)
        jitter_parameters(model, config.init_jitter, generator)
    cast_parameters(model, getattr(torch, config.dtype))
    return model


def _check_inputs(config: Config, network: Callable[..., nn.Module], count: int) -> None:
    """Check that the forward of a class takes as many inputs as the data have."""
    forward = getattr(network, "forward", None)  # a function that makes a network has none
    if forward is None:
        return
    try:
        signature(forward).bind(*range(count + 1))
    except TypeError:
        named = ", ".join(list(signature(forward).parameters)[1:])
        raise InputError(
            f"model._target_={config.model.target}: its forward takes {named}, should take"
            f" {count} input{'s' * (count > 1)}, as the data have"
        ) from None


def load_initial_weights(model: nn.Module, path: str) -> None:
    """Load the weights of a checkpoint, or the best ones of a run directory, into a network.

    Raises:
        InputError: the checkpoint does not exist, or belongs to another network.
    """
    source = Path(path)
    if kind_of(source) is None:
        raise InputError(f"start_from={path}: should be a run directory or a checkpoint")
    file = checkpoint_path(source, "best") if is_directory(source) else source
    try:
        weights, _ = load_checkpoint(file)
        put_weights(model, weights)
    except (InputError, ValueError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise InputError(f"start_from={path}: {reason}") from None


def _seed(seed: int) -> None:
    """Do what ``torch.manual_seed`` does. Without a GPU that function stores a stack trace of every
    call for good, which takes longer than making many networks."""
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
