"""From a checked configuration to what it trains: data, network, objective, metrics."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import cached_property
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
    ParameterCount,
    cast_parameters,
    count_parameters,
    jitter_parameters,
    put_weights,
)
from cvtrain.process.errors import InputError, describe_error, first_line
from cvtrain.process.regular_file import is_directory
from cvtrain.runs.checkpoint import checkpoint_path, load_checkpoint
from cvtrain.training.metrics import Metric, measured

_kept = DatasetCache(most_bytes=2**30)

JITTER_STREAM = 0x6A697474
"""Keeps the noise of `init_jitter` apart from the initial weights drawn from the same seed."""


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


class Task:
    """What a configuration trains: its data, network, objective, metrics and Trainer.

    Each is made when it is first asked for. Configurations that differ in numbers alone share a
    task (`Tasks`): `config` stands for all of them.

    Args:
        config: a checked configuration.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._counts: ParameterCount | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The configuration and what was counted: another process makes its own data."""
        return {"config": self.config, "_counts": self._counts}

    @property
    def dataset(self) -> Dataset:
        """The data; a process keeps data sets up to a total size (`load_dataset`)."""
        return load_dataset(self.config)

    def model(self, config: Config | None = None) -> nn.Module:
        """A new network, with the initial weights that a configuration of this task draws.

        Args:
            config: has the seed; that of the task, where None.

        Raises:
            InputError: the class or one of its arguments is not acceptable.
        """
        model = build_model(config or self.config, self.dataset)
        if self._counts is None:
            self._counts = count_parameters(model.parameters())
        return model

    @property
    def objective(self) -> Objective:
        """The loss and its scale."""
        return build_objective(self.config)

    @property
    def metrics(self) -> dict[str, Metric]:
        """The loss, unscaled, and the metrics of the data, by name."""
        return measured(self.dataset, self.objective)

    @property
    def parameter_count(self) -> ParameterCount:
        """How many complex and real parameters the network has."""
        if self._counts is None:
            self.model()
        assert self._counts is not None
        return self._counts

    @property
    def trainer_arguments(self) -> dict[str, Any]:
        """Arguments of Lightning's Trainer but for callbacks, of which every run has its own.

        Raises:
            InputError: one of them is not acceptable.
        """
        # Lightning takes seconds to import, and data are also asked for where nothing trains.
        from cvtrain.training.lightning_trainer import trainer_arguments

        return trainer_arguments(self.config)

    @cached_property
    def accelerator(self) -> str:
        """``cpu``, ``cuda`` or ``mps``: where the task is trained."""
        return str(self.trainer_arguments["accelerator"])

    @cached_property
    def description(self) -> tuple[str, ...]:
        """Lines on the data, the network (purely complex or mixed, both kinds counted), and what
        torch leaves in `w.grad`."""
        config, dataset, count = self.config, self.dataset, self.parameter_count
        sizes = "/".join(str(len(s)) for s in (dataset.train, dataset.validation, dataset.test))
        shape = "×".join(str(size) for size in dataset.input_shape) or "1"
        return (
            f"data       {_last_name(config.data.target)}: {sizes} samples of {shape}"
            f" {config.dtype}, {dataset.task} onto {dataset.out_features}",
            f"network    {_last_name(config.model.target)}: {count.kind},"
            f" {count.complex:,} complex and {count.real:,} real parameters"
            f" ({count.real_degrees_of_freedom:,} real degrees of freedom,"
            f" {count.bytes / 1e3:,.1f} kB)",
            f"gradient   {self_check(complex_dtype(config))}",
        )

    def describe(self, config: Config) -> list[str]:
        """Start-up summary of a run of this task: `description`, and what is done with gradients
        by `config`."""
        convention = convention_name(config.convention.scale, config.convention.conjugate)
        return [
            *self.description,
            f"optimizer  {_last_name(config.optimizer.target)}, lr {config.optimizer.lr:g};"
            f" objective {config.objective.scale:g} × {config.objective.loss};"
            f" convention {convention}",
        ]


class Tasks:
    """The tasks of a sweep's points: one for each distinct `structure`."""

    def __init__(self) -> None:
        self._by_structure: dict[str, Task] = {}

    def of(self, config: Config) -> Task:
        """The task of a configuration."""
        key = structure(config)
        if key not in self._by_structure:
            self._by_structure[key] = Task(config)
        return self._by_structure[key]

    def __iter__(self) -> Iterator[Task]:
        return iter(self._by_structure.values())


def structure(config: Config) -> str:
    """What of a configuration decides whether it fits together: everything but numbers."""
    content = config.as_dict()
    decisive = ("data", "model", "dtype", "batch_size", "goal", "start_from", "early_stopping")
    kept = {key: content[key] for key in decisive}
    kept["loss"] = content["objective"]["loss"]
    kept["trainer"] = content["trainer"]
    return json.dumps(kept, sort_keys=True)


def _last_name(target: str) -> str:
    return target.rsplit(".", 1)[-1]
