"""The check of all points before training.

The classes that will use a point's numbers are constructed with them for every point; every
distinct structure makes one trial forward and backward pass on a small batch.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import Tensor, nn

from cvtrain.config.point import Point
from cvtrain.config.schema import Config
from cvtrain.data.batches import BatchOrder
from cvtrain.data.split import Split, network_output
from cvtrain.gradients.losses import TASK_OF_LOSS, Objective
from cvtrain.process.errors import InputError, RunFailed, describe_error, machine_failure
from cvtrain.process.limits import within_free_memory
from cvtrain.process.signals import interruption
from cvtrain.runs.trackers import check_tracker
from cvtrain.training.complex_share import check_complex_share
from cvtrain.training.convergence import Convergence
from cvtrain.training.custom_metrics import check_metrics
from cvtrain.training.data_parallel import check_data_parallel
from cvtrain.training.lightning_trainer import check_trainer, trainer_arguments
from cvtrain.training.metrics import directions
from cvtrain.training.objective import check_loss
from cvtrain.training.optimizer import build_optimizer
from cvtrain.training.own_module import check_module, optimizer_and_schedule, own_module
from cvtrain.training.own_steps import try_steps
from cvtrain.training.task import Task, Tasks, structure
from cvtrain.training.update import evaluates_often
from cvtrain.training.validation import EarlyStopping

TRIAL_SAMPLES = 4


def preflight(points: Sequence[Point]) -> Tasks:
    """Check every point against its data, network, optimizer and trainer.

    Returns:
        the tasks of the points.

    Raises:
        InputError: a point is wrong; with several points the message has its overrides.
        RunFailed: the machine failed, which says nothing about the points.
    """
    with within_free_memory():
        return _check_points(points)


def _check_points(points: Sequence[Point]) -> Tasks:
    tasks, models = Tasks(), dict[Task, nn.Module]()
    tried: dict[Hashable, nn.Module] = {}
    for point in points:
        interruption.check()
        try:
            task = tasks.of(point.config)
            if task not in models:
                # Data sets of one form all fit together or none does: all are drawn, one is tried.
                drawn = None if task.draw_form is None else structure(task.config, any_draw=True)
                kind = (drawn or task, task.draw_form)
                if kind not in tried:
                    tried[kind] = check_structure(task)
                models[task] = tried[kind]
            own = point.config.module.target is not None  # made with the learning rate of the point
            check_numbers(point.config, task.model(point.config) if own else models[task])
        except InputError as error:
            if (failure := machine_failure(error)) is not None:
                raise RunFailed(
                    f"checking failed for a reason of this machine: {failure}"
                ) from error
            if len(points) == 1:
                raise
            raise InputError(
                f"{error}\nin point {point.number}: {' '.join(point.overrides)}"
            ) from None
    return tasks


def check_structure(task: Task) -> nn.Module:
    """Make a trial forward and backward pass; return the network that was tried.

    Raises:
        InputError: the pass failed, or something complex became real in it.
    """
    config = task.config
    check_trainer(config)
    check_complex_share(config)
    check_tracker(config)
    dataset = task.dataset
    try:
        BatchOrder(len(dataset.train), config.batch_size, config.seed)
    except ValueError as error:
        raise InputError(str(error)) from None
    objective = task.objective
    if isinstance(objective.loss, str) and TASK_OF_LOSS[objective.loss] != dataset.task:
        fitting = [name for name, kind in TASK_OF_LOSS.items() if kind == dataset.task]
        raise InputError(
            f"objective={objective.loss}: should be {' or '.join(fitting)} for"
            f" {config.data.target}, a {dataset.task}"
        )
    with warnings.catch_warnings():
        # A network without outputs fails below, which is one line.
        warnings.filterwarnings("ignore", message="Initializing zero-element tensors")
        model = task.model()
    check_data_parallel(config.trainer, model)
    if config.module.target is not None:
        check_module(config, model)
    try:
        samples = dataset.train.take(torch.arange(min(TRIAL_SAMPLES, len(dataset.train))))
    except InputError:
        raise
    except Exception as error:  # a user's data may raise anything
        raise InputError(f"data: the first samples fail: {describe_error(error)}") from error
    shapes = " and ".join(str(list(x.shape)) for x in samples.each_input)
    batch = f"{shapes} {str(samples.each_input[0].dtype).removeprefix('torch.')}"
    slot = "model" if config.module.target is None else "module"
    trial = (
        f"{slot}._target_={config.model.target}: a trial forward and backward on a {batch} batch"
    )
    try:
        with _lost_imaginary_parts_refused(), torch.random.fork_rng(devices=[]):
            own = own_module(config, model)
            if own is None:
                _forward_and_backward(task, objective, model, samples)
            else:
                try_steps(task, own, samples)
            metrics = directions(task.metrics(objective))
    except InputError:
        raise
    except Exception as error:  # a user's network may raise anything
        raise InputError(f"{trial} failed: {describe_error(error)}") from error
    Convergence(config.goal, dataset.task, metrics, config.max_steps)
    EarlyStopping(config.early_stopping, metrics)
    wanted = config.report.metric
    if wanted is not None and wanted.rpartition("/")[2] not in metrics:
        raise InputError(f"report.metric={wanted}: should be one of {', '.join(metrics)}")
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        if gradient is not None and gradient.dtype != parameter.dtype:
            raise InputError(
                f"{trial}: the gradient of {name} is {gradient.dtype}, not {parameter.dtype}"
            )
    return model


@contextmanager
def _lost_imaginary_parts_refused() -> Iterator[None]:
    """Context that raises whenever torch makes a complex number real; torch itself warns once per
    process."""
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*discards the imaginary part.*")
            yield
    finally:
        torch.set_warn_always(always)


def _forward_and_backward(
    task: Task, objective: Objective, model: nn.Module, samples: Split
) -> None:
    dataset = task.dataset
    before = [x.clone() for x in samples.each_input]
    output = network_output(model, samples.inputs)
    if not all(map(torch.equal, samples.each_input, before)):
        raise ValueError("it changes its input in place, and so the data of what is trained later")
    if not isinstance(output, torch.Tensor):
        raise TypeError(f"it returns a {type(output).__name__}, should be a tensor")
    shape = [len(samples), dataset.out_features, *dataset.positions]
    if list(output.shape) != shape:
        raise ValueError(f"it returns shape {list(output.shape)}, should be {shape}")
    is_complex = dataset.first.targets.is_complex()
    if isinstance(objective.loss, nn.Module):
        # The few samples may have the weight 0.
        weights = torch.ones(len(samples)) if dataset.weighted else None
        check_loss(task.config, objective, output, samples.targets, weights)
    elif dataset.task == "regression" and output.is_complex() != is_complex:
        numbers = "complex numbers" if is_complex else "real numbers, as the targets are"
        raise TypeError(f"it returns {output.dtype}, should be {numbers}")
    check_metrics(task.config, dataset, output, samples.targets)
    for name, function in task.metrics(objective).items():
        value = function(output, samples.targets)
        if value.is_complex() or value.dim() != 0:
            raise TypeError(
                f"the {name} is {value.dtype} of shape {list(value.shape)}, not a real number"
            )
    torch.autograd.backward(objective.loss_value(output, samples.targets))
    if all(parameter.grad is None for parameter in model.parameters()):
        raise RuntimeError("no parameter got a gradient")


def check_numbers(config: Config, model: nn.Module) -> None:
    """Construct optimizer and schedule with the point's numbers.

    Raises:
        InputError: one of them rejects its arguments.
    """
    optimizer, _ = optimizer_and_schedule(config, model)
    if evaluates_often(optimizer):
        accumulated = trainer_arguments(config).get("accumulate_grad_batches", 1)
        if accumulated > 1:
            raise InputError(
                f"trainer.accumulate_grad_batches={accumulated}: should be 1, with a larger"
                f" batch_size, as {type(optimizer).__name__} evaluates the last batch alone again"
            )
    largest = torch.finfo(getattr(torch, config.dtype)).max
    for group in optimizer.param_groups:
        for name, value in group.items():
            if isinstance(value, int | float) and largest < abs(value) < math.inf:
                raise InputError(
                    f"optimizer.{name}={value:g}: should be at most {largest:.3g}, the largest"
                    f" number of {config.dtype}"
                )
    own = config.optimizer.target.partition(".")[0] not in ("torch", "cvtrain")
    if own or evaluates_often(optimizer):  # these check some arguments only in a step
        _try_step(config, model)


def _try_step(config: Config, model: nn.Module) -> None:
    """Make one update of a copy of a network that has gradients."""
    trial = f"optimizer._target_={config.optimizer.target}: a trial step"
    copied = deepcopy(model)
    for parameter, original in zip(copied.parameters(), model.parameters(), strict=True):
        parameter.grad = None if original.grad is None else original.grad.clone()
    optimizer, evaluations = build_optimizer(config, copied), list[Tensor]()

    def closure() -> Tensor:
        evaluations.append(torch.zeros(()))
        return evaluations[-1]

    try:
        with _lost_imaginary_parts_refused(), torch.random.fork_rng(devices=[]):
            optimizer.step(closure)  # type: ignore[arg-type]  # torch says float, and takes a tensor
    except Exception as error:  # a user's optimizer may raise anything
        raise InputError(f"{trial} failed: {describe_error(error)}") from error
    if not evaluations:
        raise InputError(f"{trial} does not call the closure, should: it computes the gradients")
    for (name, after), before in zip(copied.named_parameters(), model.parameters(), strict=True):
        if (after.dtype, after.shape) != (before.dtype, before.shape):
            raise InputError(f"{trial} makes {name} {after.dtype} {list(after.shape)}")
