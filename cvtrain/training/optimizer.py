"""Make the optimizer of a network's parameters from a checked configuration."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import isfunction, signature
from typing import Any

import torch
from torch import nn

from cvtrain.config.schema import Config
from cvtrain.config.targets import check_arguments, resolve_target
from cvtrain.optim import RuleOptimizer
from cvtrain.optim.torch_equivalents import rule_optimizer
from cvtrain.process.errors import InputError, first_line

INSTEAD_OF_TORCHS = {
    "Muon": "optimizer=muon",
    "Adafactor": "another",
    "SparseAdam": "another",
}


def build_optimizer(config: Config, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of the model's parameters, with real ones in a separate group if
    `optimizer.real_parameters` sets other values for them.

    Raises:
        InputError: the class rejects complex parameters or one of its arguments.
    """
    optimizer, arguments, real_values = optimizer_arguments(config)
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups: list[nn.Parameter] | list[dict[str, Any]] = parameters
    if real_values:
        # As the defaults of all groups, since torch does not check the values of a single group.
        _instance(optimizer, parameters, arguments | real_values, "optimizer.real_parameters")
        groups = parameter_groups(parameters, {}, real_values)
    built = _instance(optimizer, groups, arguments, "optimizer")
    if isinstance(built, torch.optim.Adagrad):
        fill_accumulators(built)
    return built


def fill_accumulators(optimizer: torch.optim.Adagrad) -> None:
    """Initialise the sums of squares with each group's `initial_accumulator_value`; torch uses the
    constructor's value for all groups."""
    for group in optimizer.param_groups:
        value = group["initial_accumulator_value"]
        for p in group["params"]:
            optimizer.state[p]["sum"].fill_(complex(value, value) if p.is_complex() else value)


def optimizer_arguments(
    config: Config,
) -> tuple[type[torch.optim.Optimizer], dict[str, Any], dict[str, Any]]:
    """The optimizer's class, its checked arguments, and the arguments for real parameters.

    Raises:
        InputError: the class rejects complex parameters or one of its arguments.
    """
    slot = config.optimizer
    optimizer = resolve_target(
        "optimizer", slot.target, torch.optim.Optimizer, config.trusted_modules
    )
    if isfunction(optimizer):
        raise InputError(f"optimizer._target_={slot.target}: should be a class, is a function")
    name = optimizer.__name__
    if name in INSTEAD_OF_TORCHS and optimizer.__module__.startswith("torch."):
        raise InputError(
            f"optimizer._target_={slot.target}: should be {INSTEAD_OF_TORCHS[name]}, as torch's"
            " refuses complex parameters"
        )
    optimizer, semantics = _with_semantics(optimizer, slot.semantics)
    if slot.arguments.get("fused"):
        raise InputError(
            "optimizer.fused=True: should be false; torch's fused rules refuse complex parameters"
        )
    filled = frozenset({"params"})
    arguments = check_arguments(
        "optimizer", optimizer, slot.arguments | {"lr": slot.lr} | semantics, filled
    )
    real_values = check_arguments(
        "optimizer.real_parameters",
        optimizer,
        real_values_set(config),
        filled | arguments.keys(),  # other arguments are the same for all parameters
    )
    return optimizer, arguments, real_values


def _with_semantics(
    optimizer: type[torch.optim.Optimizer], semantics: str
) -> tuple[Any, dict[str, Any]]:
    """The class that supports the semantics, and the argument that selects them."""
    if semantics == "split" and not issubclass(optimizer, RuleOptimizer):
        return optimizer, {}
    rule = rule_optimizer(optimizer)
    if semantics == "split" and rule is not None and "semantics" not in signature(rule).parameters:
        return rule, {}
    if rule is None or "semantics" not in signature(rule).parameters:
        raise InputError(
            f"optimizer.semantics={semantics}: should be split, the only form of"
            f" {optimizer.__name__}, which takes Re and Im as two reals"
        )
    return rule, {"semantics": semantics}


def real_values_set(config: Config) -> dict[str, Any]:
    """The values that apply to real parameters only."""
    values = config.optimizer.real_parameters
    return {name: value for name, value in values.items() if value is not None}


def parameter_groups(
    parameters: Sequence[nn.Parameter],
    complex_values: dict[str, Any],
    real_values: dict[str, Any],
) -> list[dict[str, Any]]:
    """Groups for an optimizer: the complex parameters, then the real ones, if there are any."""
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
