"""The objects that a configuration trains: data, network, objective, metrics; shared by many
points."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterator, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from cvtrain.config.schema import Config
from cvtrain.config.sections import CustomObjectiveConfig
from cvtrain.data.dataset import Dataset
from cvtrain.data.draws import form
from cvtrain.data.load import load_dataset
from cvtrain.data.split import Split, network_output
from cvtrain.gradients.convention import convention_name, self_check
from cvtrain.gradients.losses import Objective
from cvtrain.models.parameters import ParameterCount, count_parameters
from cvtrain.training.custom_metrics import build_metrics
from cvtrain.training.metrics import AnyMetric, measured
from cvtrain.training.network import build_model
from cvtrain.training.objective import build_objective


class Task:
    """The objects that a configuration trains: data, network, objective, metrics and Trainer
    arguments.

    Each is made on first use. Configurations that differ only in numbers share a task (`Tasks`);
    `config` represents all of them.

    Args:
        config: a checked configuration.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._counts: ParameterCount | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The configuration and the parameter count: another process makes its own data."""
        return {"config": self.config, "_counts": self._counts}

    @property
    def dataset(self) -> Dataset:
        """The data set, which `load_dataset` caches in the process."""
        return load_dataset(self.config)

    @property
    def draw_form(self) -> Hashable | None:
        """The `form` of the data set."""
        return form(self.dataset)

    def datasets(self, configs: Sequence[Config]) -> list[Dataset]:
        """The data set of each configuration; they may differ in `data.seed`."""
        distinct = {config.data.model_dump_json(): config for config in configs}
        made = {key: load_dataset(config) for key, config in distinct.items()}
        return [made[config.data.model_dump_json()] for config in configs]

    def model(self, config: Config | None = None) -> nn.Module:
        """A new network, with the initial weights that a configuration of this task draws.

        Args:
            config: configuration whose seed is used; None: that of the task.

        Raises:
            InputError: the class or one of its arguments is not valid.
        """
        model = build_model(config or self.config, self.dataset)
        if self._counts is None:
            self._counts = count_parameters(model.parameters())
        return model

    @property
    def objective(self) -> Objective:
        """Make the loss with its scale.

        Raises:
            InputError: a user's own loss is not valid.
        """
        return build_objective(self.config)

    def metrics(self, objective: Objective) -> dict[str, AnyMetric]:
        """The unscaled loss, the metrics of the data and those that the configuration adds, by
        name.

        A user's own loss may need complex outputs for real targets, or real outputs for complex
        targets. The metrics of the data, which compare the two, are then left out.
        """
        compared = self.has_outputs and self._outputs_are_as_targets
        known = measured(self.dataset, objective, compared=compared)
        return {**known, **build_metrics(self.config, self.dataset, known)}

    @cached_property
    def has_outputs(self) -> bool:
        """Whether calling the network gives outputs: a user's LightningModule may have a
        `training_step` and no such forward."""
        if self.config.module.target is None:
            return True  # other networks are rejected before training
        dataset, model = self.dataset, self.model().eval()
        first = dataset.first
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                output = network_output(model, first.inputs)
        except Exception:  # a user's module may raise anything
            return False
        shape = [len(first), dataset.out_features, *dataset.positions]
        return isinstance(output, Tensor) and list(output.shape) == shape

    @cached_property
    def _outputs_are_as_targets(self) -> bool:
        own_module = self.config.module.target is not None
        if not (own_module or isinstance(self.config.objective, CustomObjectiveConfig)):
            return True  # other networks are rejected before training
        if self.dataset.task == "classification":
            return True
        first, model = self.dataset.first, self.model().eval()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            output = network_output(model, first.inputs)
        return output.is_complex() == first.targets.is_complex()

    def untrained_loss(self, dataset: Dataset) -> float | None:
        """The validation loss of an output of zero: the logarithm of the number of classes, or the
        power of the targets. None if the targets are not in memory, and for a user's own loss, for
        which a report uses the loss before training."""
        own_module = self.config.module.target is not None
        if own_module or isinstance(self.config.objective, CustomObjectiveConfig):
            return None
        if dataset.task == "classification":
            return math.log(dataset.out_features)
        if not isinstance(dataset.validation, Split):
            return None
        judged = dataset.validation.judged
        return float(self.objective.loss_value(torch.zeros_like(judged[0]), *judged)) or None

    @property
    def parameter_count(self) -> ParameterCount:
        """The numbers of complex and real parameters of the network."""
        if self._counts is None:
            self.model()
        assert self._counts is not None
        return self._counts

    @property
    def trainer_arguments(self) -> dict[str, Any]:
        """Arguments of Lightning's Trainer without callbacks, which every run makes for itself.

        Raises:
            InputError: an argument is not valid.
        """
        # Lightning takes seconds to import, and data are also needed where nothing is trained.
        from cvtrain.training.lightning_trainer import trainer_arguments

        return trainer_arguments(self.config)

    @cached_property
    def accelerator(self) -> str:
        """The device type on which the task is trained: ``cpu``, ``cuda`` or ``mps``."""
        return str(self.trainer_arguments["accelerator"])

    @cached_property
    def description(self) -> tuple[str, ...]:
        """Lines on the data, the network (purely complex or mixed, with parameter counts), and the
        convention of `w.grad`."""
        config, dataset, count = self.config, self.dataset, self.parameter_count
        sizes = "/".join(str(len(s)) for s in (dataset.train, dataset.validation, dataset.test))
        shapes = [x.shape[1:] for x in dataset.first.each_input]
        shape = " and ".join("×".join(map(str, sizes)) or "1" for sizes in shapes)
        weighted = "weighted " * dataset.weighted
        units = dataset.scales.get("targets")
        aim = dataset.aim if units is None else f"{dataset.aim} in units of {units:.6g}"
        return (
            f"data       {_last_name(config.data.target)}: {sizes} {weighted}samples of"
            f" {shape} {config.dtype}, {aim}",
            f"network    {_last_name(config.model.target)}: {count.kind},"
            f" {count.complex:,} complex and {count.real:,} real parameters"
            f" ({count.real_degrees_of_freedom:,} real degrees of freedom,"
            f" {count.bytes / 1e3:,.1f} kB)",
            f"gradient   {self_check(getattr(torch, config.dtype))}",
        )

    def describe(self, config: Config) -> list[str]:
        """Start-up summary of a run of this task: `description`, and the treatment of gradients in
        `config`."""
        convention = convention_name(config.convention.scale, config.convention.conjugate)
        return [
            *self.description,
            f"optimizer  {_last_name(config.optimizer.target)}, lr {config.optimizer.lr:g};"
            f" objective {config.objective.scale:g} × {_last_name(config.objective.loss)};"
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


def structure(config: Config, *, any_draw: bool = False) -> str:
    """The part of a configuration that determines whether it fits together: everything but numbers;
    with `any_draw` also without the seed of the data."""
    content = config.as_dict()
    if any_draw:
        content["data"].pop("seed", None)
    decisive = ("data", "model", "dtype", "batch_size", "goal", "start_from", "early_stopping")
    part = {key: content[key] for key in decisive}
    part["objective"] = content["objective"] | {"scale": None}
    part["metrics"] = [content["metrics"], content["report"]["metric"]]
    part["trainer"] = [content["trainer"], content["callbacks"]]
    return json.dumps(part, sort_keys=True)


def _last_name(target: str) -> str:
    return target.rsplit(".", 1)[-1]
