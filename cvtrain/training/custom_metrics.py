"""Metrics that a configuration adds: metrics of torchmetrics by name, or a user's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from inspect import isclass, isfunction, signature
from typing import Any

import torch
from torch import Tensor

from cvtrain.config.errors import suggestion
from cvtrain.config.object_content import content_of
from cvtrain.config.own_code import called_with, construct
from cvtrain.config.public_targets import PUBLIC
from cvtrain.config.python_objects import path_of, registered
from cvtrain.config.schema import Config
from cvtrain.config.targets import resolve_target
from cvtrain.data.dataset import Dataset
from cvtrain.gradients.losses import IGNORED
from cvtrain.process.errors import InputError, describe_error
from cvtrain.training.metrics import WholeMetric, scores

BETTER = {"higher": True, "lower": False}


def build_metrics(
    config: Config, dataset: Dataset, taken: Collection[str]
) -> dict[str, WholeMetric]:
    """Make the metrics that `config.metrics` adds, by name.

    Args:
        config: a checked configuration.
        dataset: data set, which sets `num_classes` and whether outputs are scores of classes.
        taken: names that are in use already.

    Raises:
        InputError: a metric is not valid, has no direction, or has a name that is in use.
    """
    metrics: dict[str, WholeMetric] = {}
    for number, slot in enumerate(config.metrics):
        name, metric = _metric(f"metrics[{number}]", slot, config, dataset)
        if name in metrics or name in taken:
            raise InputError(
                f"metrics[{number}].name={name}: should be another one, there is such a metric"
            )
        metrics[name] = metric
    return metrics


def metric_slot(metric: Any) -> str | dict[str, Any]:
    """Convert a metric object of this process to the form that `config.metrics` holds.

    Args:
        metric: a class or object of torchmetrics; a function of outputs and targets; a pair of one
            of these and ``higher`` or ``lower``; or a mapping with it as `_target_`, and `better`,
            `name` and arguments. A text is returned unchanged.

    Raises:
        InputError: `metric` is none of these.
    """
    from torchmetrics import Metric  # takes a second to import, and few configurations need it

    slot: dict[str, Any] = {}
    if isinstance(metric, tuple) and len(metric) == 2:
        metric, slot["better"] = metric
    elif isinstance(metric, Mapping):
        slot = {name: value for name, value in metric.items() if name != "_target_"}
        metric = metric.get("_target_")
    if isinstance(metric, str):
        return {"_target_": metric, **slot} if slot else metric
    if not callable(metric):
        raise InputError(
            f"metrics: {metric!r} should be a class or object of torchmetrics, a function of"
            " outputs and targets, or a pair such as (function, 'lower')"
        )
    if isclass(metric) or isfunction(metric):
        return {"_target_": path_of(metric), **slot}
    name = _name(type(metric))
    made = _made(metric) if isinstance(metric, Metric) else _function(metric)
    return {"name": name, **slot, "_target_": registered(made, name, *content_of(metric))}


def _made(metric: Any) -> Callable[[], Any]:
    from torchmetrics import Metric

    def made() -> Metric:
        copied: Metric = metric.clone()
        return copied

    return made


def _function(metric: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """An object that is called with outputs and targets as a function."""

    def function(outputs: Tensor, targets: Tensor) -> Tensor:
        value: Tensor = metric(outputs, targets)
        return value

    function.higher_is_better = getattr(metric, "higher_is_better", None)  # type: ignore[attr-defined]
    return function


def check_metrics(config: Config, dataset: Dataset, output: Tensor, target: Tensor) -> None:
    """Try the metrics that a configuration adds on a few samples.

    Raises:
        InputError: a metric fails, or is not a real number.
    """
    for name, metric in build_metrics(config, dataset, ()).items():
        before = target.clone()
        try:
            metric(output.detach(), target)
            if not torch.equal(target, before):
                raise ValueError("it changes the targets in place, and so the data")
        except Exception as error:  # a user's metric may raise anything
            kind = str(output.dtype).removeprefix("torch.")
            raise InputError(
                f"metrics: {name} of {kind} outputs {list(output.shape)}: {describe_error(error)}"
            ) from error


def _metric(
    key: str, slot: str | dict[str, Any], config: Config, dataset: Dataset
) -> tuple[str, WholeMetric]:
    from torchmetrics import Metric  # takes a second to import, and few configurations need it

    arguments = {"_target_": slot} if isinstance(slot, str) else dict(slot)
    path = str(arguments.pop("_target_", ""))
    better, called = arguments.pop("better", None), arguments.pop("name", None)
    if "." not in path:
        path = _of_torchmetrics(key, path)
    target = resolve_target(key, path, Metric, config.trusted_modules, anything=True)
    fills = {"num_classes": dataset.out_features, "num_outputs": dataset.out_features}
    fills["ignore_index"] = IGNORED
    if isclass(target) and issubclass(target, Metric):
        known = signature(target).parameters
        function = construct(key, target, arguments, {n: v for n, v in fills.items() if n in known})
    else:
        function = called_with(key, target, arguments, Metric, ("outputs", "targets"), fills)
    if better is None:
        rising = getattr(function, "higher_is_better", getattr(target, "higher_is_better", None))
    else:
        rising = BETTER.get(better)
    if rising is None:
        raise InputError(
            f"{key}.better={better}: should be higher or lower; {path.rpartition('.')[2]} does not"
            " say which is better"
        )
    name = _name(target) if called is None else str(called)
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise InputError(f"{key}.name={name}: should be letters, digits and _")
    if isinstance(function, Metric):
        function = _computed(function, labels=dataset.task == "classification")
    return name, WholeMetric(function, bool(rising))


def _of_torchmetrics(key: str, name: str) -> str:
    public = PUBLIC["Metric"]
    if name not in (public.names or ()):
        near = suggestion(name, public.names or ())
        raise InputError(
            f"{key}={name}: should be one of torchmetrics' for classes or values, or a path in a"
            f" package of yours{near}"
        )
    of_labels, of_values = public.modules
    return f"{of_labels if name.startswith('Multiclass') else of_values}.{name}"


def _computed(metric: Any, *, labels: bool) -> Callable[[Tensor, Tensor], Tensor]:
    """A metric of torchmetrics as a function; it gets the scores of classes."""

    def value(output: Tensor, target: Tensor) -> Tensor:
        metric.to(output.device)
        metric.reset()
        metric.update(scores(output) if labels else output, target)
        computed: Tensor = metric.compute()
        metric.reset()
        return computed

    return value


def _name(target: Any) -> str:
    """The name of a class or function in snake case: ``mean_squared_error``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", target.__name__)
    return words.lower()
