"""From a checked configuration to the objects of a training: data, model, objective, optimizer."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cvtrain.config.schema import Config
from cvtrain.config.sections import TargetConfig
from cvtrain.config.targets import check_arguments, resolve_target
from cvtrain.data.dataset import Dataset, DatasetCache
from cvtrain.data.split import Split
from cvtrain.gradients.convention import convention_name, self_check
from cvtrain.gradients.losses import Objective
from cvtrain.models.parameters import (
    cast_parameters,
    count_parameters,
    jitter_parameters,
    put_weights,
)
from cvtrain.optim import RuleOptimizer
from cvtrain.optim.torch_equivalents import rule_optimizer
from cvtrain.process.errors import InputError, describe_error, first_line
from cvtrain.process.regular_file import is_directory
from cvtrain.runs.checkpoint import checkpoint_path, load_checkpoint

_kept = DatasetCache(most_bytes=2**30)

JITTER_STREAM = 0x6A697474
"""Keeps the noise of `init_jitter` apart from the initial weights drawn from the same seed."""

REFUSED_OPTIMIZERS = {
    "Muon": "it refuses complex parameters; optimizer=muon takes them",
    "Adafactor": "it refuses complex parameters",
    "SparseAdam": "it refuses complex parameters",
}


def complex_dtype(config: Config) -> torch.dtype:
    """`torch.complex64` or `torch.complex128`."""
    return torch.complex64 if config.dtype == "complex64" else torch.complex128


def load_dataset(config: Config) -> Dataset:
    """The configured data; built once per process for equal configurations, unless there are many
    that are large.

    Raises:
        InputError: the function or one of its arguments is not acceptable.
    """
    return build_dataset(config.data, config.dtype, config.trusted_modules)


def build_dataset(slot: TargetConfig, dtype: str, trusted: tuple[str, ...] = ()) -> Dataset:
    """What `load_dataset` loads, of the keys that it depends on.

    Raises:
        InputError: as there.
    """
    key = json.dumps(slot.model_dump(mode="json", by_alias=True), sort_keys=True)
    return _kept.get((key, dtype, trusted), lambda: _build_dataset(slot, dtype, trusted))


def _build_dataset(slot: TargetConfig, dtype: str, trusted: tuple[str, ...]) -> Dataset:
    function = resolve_target("data", slot.target, Dataset, trusted)
    arguments = check_arguments("data", function, slot.arguments, frozenset({"dtype"}))
    try:
        with np.errstate(all="ignore"):  # what is not finite is told by the data set
            dataset: Dataset = function(**arguments, dtype=getattr(torch, dtype))
    except (ValueError, OSError) as error:  # a wrong argument, a file that is not there
        raise InputError(f"data: {first_line(error) or type(error).__name__}") from None
    except (ArithmeticError, RuntimeError, MemoryError, TypeError) as error:
        # More than there is memory for, or than a size can be; told without the argument's name.
        given = ", ".join(f"{name}={value!r}" for name, value in slot.arguments.items())
        reason = first_line(error) or type(error).__name__
        raise InputError(f"data: it cannot be made with {given}: {reason}") from None
    return dataset


def build_model(config: Config, dataset: Dataset) -> nn.Module:
    """The network with the initial weights that `config.seed` draws, in complex128, so that they
    are the same in either precision up to rounding, or with those of `config.start_from`; the
    global random state is left as it was.

    Raises:
        InputError: the class or one of its arguments is not acceptable.
    """
    network = resolve_target("model", config.model.target, nn.Module, config.trusted_modules)
    filled = {
        "in_features": dataset.in_features,
        "input_shape": tuple(dataset.input_shape),
        "out_features": dataset.out_features,
        "dtype": torch.complex128,
    }
    given = {name: value for name, value in config.model.arguments.items() if value is not None}
    arguments = check_arguments("model", network, given, frozenset(filled))
    accepted = _accepted(network, filled)
    with torch.random.fork_rng(devices=[]):
        _seed(config.seed)
        try:
            model: nn.Module = network(**{**accepted, **arguments})
        except Exception as error:  # whatever a user's network comes up with
            name = network.__name__
            raise InputError(
                f"model: {name} refuses its arguments: {describe_error(error)}"
            ) from None
    if config.start_from is not None:
        load_initial_weights(model, config.start_from)
    if config.init_jitter > 0:
        generator = torch.Generator().manual_seed(config.seed ^ JITTER_STREAM)
        jitter_parameters(model, config.init_jitter, generator)
    cast_parameters(model, complex_dtype(config))
    return model


def _seed(seed: int) -> None:
    """Do what ``torch.manual_seed`` does; where there is no GPU, that keeps a stack trace of every
    call for good, which takes longer than many networks."""
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


def load_initial_weights(model: nn.Module, path: str) -> None:
    """Give a network the weights of a checkpoint, or of a run directory's best one.

    Raises:
        InputError: there is no such checkpoint, or it is of another network.
    """
    named = Path(path)
    file = checkpoint_path(named, "best") if is_directory(named) else named
    try:
        weights, _ = load_checkpoint(file)
    except InputError as error:
        raise InputError(f"start_from={path}: {error}") from None
    try:
        put_weights(model, weights)
    except ValueError as error:
        raise InputError(f"start_from={path}: {error}") from None


def _accepted(network: Any, filled: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in filled.items() if name in signature(network).parameters}


def build_objective(config: Config) -> Objective:
    """The loss and its scale."""
    return Objective(
        loss=config.objective.loss, scale=config.objective.scale, delta=config.objective.delta
    )


def untrained_loss(dataset: Dataset, config: Config) -> float | None:
    """The validation loss of an output of zero: the logarithm of the number of classes, or the
    power of the targets; None where the targets are not in memory."""
    if dataset.task == "classification":
        return math.log(dataset.out_features)
    if not isinstance(dataset.validation, Split):
        return None
    targets = dataset.validation.targets
    return float(build_objective(config).loss_value(torch.zeros_like(targets), targets)) or None


def build_optimizer(config: Config, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer over the model's parameters, real ones in a group of their own where
    `optimizer.real_parameters` gives them other values.

    Raises:
        InputError: the class refuses complex parameters or one of its arguments.
    """
    optimizer, arguments, real_values = optimizer_arguments(config)
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups: list[nn.Parameter] | list[dict[str, Any]] = parameters
    if real_values:
        # As the defaults of all, since torch checks the values of a group of its own not at all.
        _instance(optimizer, parameters, arguments | real_values, "optimizer.real_parameters")
        groups = parameter_groups(parameters, {}, real_values)
    return _instance(optimizer, groups, arguments, "optimizer")


def optimizer_arguments(
    config: Config,
) -> tuple[type[torch.optim.Optimizer], dict[str, Any], dict[str, Any]]:
    """The optimizer's class, its checked arguments, and those that real parameters take instead.

    Raises:
        InputError: the class refuses complex parameters or one of its arguments.
    """
    slot = config.optimizer
    optimizer = resolve_target(
        "optimizer", slot.target, torch.optim.Optimizer, config.trusted_modules
    )
    name = optimizer.__name__
    if name in REFUSED_OPTIMIZERS and optimizer.__module__.startswith("torch."):
        raise InputError(f"optimizer._target_={slot.target}: {REFUSED_OPTIMIZERS[name]}")
    optimizer, semantics = _with_semantics(optimizer, slot.semantics)
    if slot.arguments.get("fused"):
        raise InputError("optimizer.fused=True: torch's fused optimizers refuse complex parameters")
    filled = frozenset({"params"})
    arguments = check_arguments(
        "optimizer", optimizer, slot.arguments | {"lr": slot.lr} | semantics, filled
    )
    given = real_values_given(config)
    real_values = check_arguments("optimizer.real_parameters", optimizer, given, filled)
    return optimizer, arguments, real_values


def _with_semantics(
    optimizer: type[torch.optim.Optimizer], semantics: str
) -> tuple[Any, dict[str, Any]]:
    """The class that has the semantics, and the argument that asks it for them."""
    if semantics == "split" and not issubclass(optimizer, RuleOptimizer):
        return optimizer, {}
    rule = rule_optimizer(optimizer)
    if rule is None or "semantics" not in signature(rule).parameters:
        raise InputError(
            f"optimizer.semantics={semantics}: {optimizer.__name__} takes Re and Im as two reals"
            " and has no other form"
        )
    return rule, {"semantics": semantics}


def real_values_given(config: Config) -> dict[str, Any]:
    """The values that real parameters take instead of those of all."""
    given = config.optimizer.real_parameters
    return {name: value for name, value in given.items() if value is not None}


def parameter_groups(
    parameters: Sequence[nn.Parameter],
    complex_values: dict[str, Any],
    real_values: dict[str, Any],
) -> list[dict[str, Any]]:
    """Groups for an optimizer: the complex parameters, then the real ones, where there are any."""
    groups = [
        {"params": [p for p in parameters if p.is_complex()], **complex_values},
        {"params": [p for p in parameters if not p.is_complex()], **real_values},
    ]
    return [group for group in groups if group["params"]]


def _instance(
    optimizer: Any, parameters: Any, arguments: dict[str, Any], key: str
) -> torch.optim.Optimizer:
    try:
        built: torch.optim.Optimizer = optimizer(parameters, **arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        name = optimizer.__name__
        raise InputError(f"{key}: {name} refuses its arguments: {first_line(error)}") from None
    return built


def describe_task(config: Config) -> list[str]:
    """Start-up summary of a run: that of `describe_network`, and what is asked of the gradient."""
    convention = convention_name(config.convention.scale, config.convention.conjugate)
    return [
        *describe_network(config),
        f"optimizer  {_last_name(config.optimizer.target)}, lr {config.optimizer.lr:g};"
        f" objective {config.objective.scale:g} × {config.objective.loss};"
        f" convention {convention}",
    ]


def describe_network(config: Config) -> list[str]:
    """Data, network (purely complex or mixed, both kinds counted), and the self-check of torch."""
    dataset = load_dataset(config)
    count = count_parameters(build_model(config, dataset).parameters())
    sizes = "/".join(str(len(s)) for s in (dataset.train, dataset.validation, dataset.test))
    shape = "×".join(str(size) for size in dataset.input_shape) or "1"
    return [
        f"data       {_last_name(config.data.target)}: {sizes} samples of {shape}"
        f" {config.dtype}, {dataset.task} onto {dataset.out_features}",
        f"network    {_last_name(config.model.target)}: {count.kind},"
        f" {count.complex:,} complex and {count.real:,} real parameters"
        f" ({count.real_degrees_of_freedom:,} real degrees of freedom,"
        f" {count.bytes / 1e3:,.1f} kB)",
        f"gradient   {self_check(complex_dtype(config))}",
    ]


def _last_name(target: str) -> str:
    return target.rsplit(".", 1)[-1]
