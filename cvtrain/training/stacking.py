"""Combine K configurations: which of them can be stacked, and their numbers side by side.

Configurations can be stacked if they differ only in stack axes: seeds (also that of the data, if
these are in memory and have one shape), initial noise, and the numbers of objective, convention,
optimizer, clipping and schedule. A number that all members share stays a Python number; one in
which they differ becomes a [K] float64 tensor on the CPU.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cvtrain.config.schema import Config
from cvtrain.config.sections import (
    ConventionConfig,
    EntryClipConfig,
    NoClipConfig,
    NormClipConfig,
)
from cvtrain.gradients.clipping import Clip, ModulusClip, NoClip, NormClip, SplitClip
from cvtrain.gradients.convention import Convention
from cvtrain.gradients.stacked_number import Number
from cvtrain.optim import RuleOptimizer
from cvtrain.optim.hyperparameters import REFUSED_SWITCHES
from cvtrain.optim.torch_equivalents import rule_optimizer
from cvtrain.process.errors import InputError
from cvtrain.training.optimizer import optimizer_arguments, parameter_groups, real_values_set
from cvtrain.training.schedule import Constant, learning_rate_factor, stack_schedules


def common_part(config: Config, *, any_draw: bool = False) -> str:
    """Everything that must be equal in a stack, as JSON: two configurations can be stacked if and
    only if this is equal.

    Args:
        config: configuration of a run.
        any_draw: whether `data.seed` may differ, which it may if the data sets have the same
            `cvtrain.data.draws.form`.
    """
    content = config.result_keys()
    if any_draw:
        content["data"].pop("seed", None)
    for axis in ("seed", "init_jitter", "convention", "scheduler"):
        del content[axis]
    del content["objective"]["scale"]
    content["ema"] = content["ema"]["decay"] is not None
    content["clip"] = content["clip"]["kind"]
    optimizer = content["optimizer"]
    # Without values of their own, real parameters use those of the complex ones.
    optimizer["real_parameters"] = {
        name: _shape(value) for name, value in real_values_set(config).items() if _structural(value)
    }
    content["optimizer"] = {name: _shape(value) for name, value in optimizer.items()}
    return json.dumps(content, sort_keys=True)


def program_part(config: Config) -> str:
    """What a compiled step depends on besides shapes and numbers, as JSON."""
    common = json.loads(common_part(config))
    sections = ("model", "objective", "optimizer", "clip", "dtype")
    return json.dumps([common[section] for section in sections])


def refusal(config: Config) -> str | None:
    """The reason why a configuration cannot be trained in a stack, or None if it shows none."""
    trainer = config.trainer
    if config.module.target is not None:
        return f"{config.model.target.rpartition('.')[2]} has a training_step of its own"
    if config.callbacks:
        return "callbacks see one run"
    if trainer.get("callbacks"):
        return "trainer.callbacks see one run"
    if trainer.get("devices", 1) not in (1, "1", "auto"):
        return "trainer.devices are for single runs"
    if trainer.get("accumulate_grad_batches", 1) != 1:
        return "trainer.accumulate_grad_batches is for single runs"
    kind, arguments, real_values = optimizer_arguments(config)
    rule = rule_optimizer(kind)
    if rule is None:
        return f"{kind.__name__} has no stacked form"
    taken = inspect.signature(rule).parameters
    for name, value in (arguments | real_values).items():
        known = name in taken and not (name in REFUSED_SWITCHES and value)
        if not known and value is not inspect.signature(kind).parameters[name].default:
            return f"the stacked {kind.__name__} has no argument {name}"
    return None


@dataclass(frozen=True)
class StackNumbers:
    """Numbers of K runs side by side: a number that all share is a Python number, others are [K].

    Attributes:
        convention, clip: transformation of the gradients before the optimizer receives them.
        scale: scale of the objectives.
        decay: decay of the averages of weights; None if there are no averages.
    """

    convention: Convention
    clip: Clip
    scale: Number
    decay: Number | None


def stack_numbers(configs: Sequence[Config]) -> StackNumbers:
    """The numbers of K configurations that have a `common_part`."""
    decays = [config.ema.decay for config in configs if config.ema.decay is not None]
    assert len(decays) in (0, len(configs))  # by their common part all have averages or none
    return StackNumbers(
        convention=_stack_convention([config.convention for config in configs]),
        clip=_stack_clip([config.clip for config in configs]),
        scale=along_stack([config.objective.scale for config in configs]),
        decay=along_stack(decays) if decays else None,
    )


def _stack_convention(conventions: Sequence[ConventionConfig]) -> Convention:
    conjugate = [convention.conjugate for convention in conventions]
    return Convention(
        along_stack([convention.scale for convention in conventions]),
        conjugate[0] if len(set(conjugate)) == 1 else torch.tensor(conjugate),
    )


def _stack_clip(clips: Sequence[NoClipConfig | NormClipConfig | EntryClipConfig]) -> Clip:
    """Combine the clips, which are of one kind."""
    norms = [clip for clip in clips if isinstance(clip, NormClipConfig)]
    if norms:
        return NormClip(
            along_stack([clip.threshold for clip in norms]),
            along_stack([clip.eps for clip in norms]),
        )
    entries = [clip for clip in clips if isinstance(clip, EntryClipConfig)]
    if entries:
        kind = ModulusClip if entries[0].kind == "modulus" else SplitClip
        return kind(along_stack([clip.threshold for clip in entries]))
    return NoClip()


def stack_schedule(configs: Sequence[Config]) -> Callable[[int], Tensor] | None:
    """The factors [K] on the learning rates as a function of the step; None if all are constant."""
    factors = [
        learning_rate_factor(config.scheduler, config.max_steps, config.trusted_modules)
        for config in configs
    ]
    if all(factor is None for factor in factors):
        return None
    return stack_schedules([factor or Constant() for factor in factors])


def stack_optimizer(configs: Sequence[Config], parameters: Iterable[nn.Parameter]) -> RuleOptimizer:
    """One optimizer for all members, over stacked parameters [K, …].

    If `optimizer.real_parameters` is set for any member, real parameters have a separate group
    after that of the complex ones.

    Raises:
        ValueError: a value is out of range.
    """
    chosen = [optimizer_arguments(config) for config in configs]
    kind = rule_optimizer(chosen[0][0])
    assert kind is not None  # other optimizers are trained one by one
    taken = inspect.signature(kind).parameters
    complex_values = [_taken(arguments, taken) for _, arguments, _ in chosen]
    real_values = [_taken(arguments | values, taken) for _, arguments, values in chosen]
    parameters = list(parameters)
    if complex_values == real_values:
        return kind(parameters, **_side_by_side(complex_values), stacked=True)
    values = _side_by_side(complex_values), _side_by_side(real_values)
    return kind(parameter_groups(parameters, *values), stacked=True)


def along_stack(numbers: Sequence[float]) -> Number:
    """The number itself if all members share it, else the K numbers as a float64 tensor [K]."""
    first = numbers[0]
    if all(number == first for number in numbers):
        return first
    return torch.tensor(numbers, dtype=torch.float64)


def _side_by_side(members: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {name: _values([member[name] for member in members]) for name in members[0]}


def _values(values: Sequence[Any]) -> Any:
    first = values[0]
    if isinstance(first, list | tuple):
        return tuple(_values(entries) for entries in zip(*values, strict=True))
    if _structural(first):
        if any(value != first for value in values):
            raise InputError(f"a stack cannot mix {first} and other choices")
        return first
    return along_stack(values)


def _taken(arguments: dict[str, Any], taken: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name in taken}


def _structural(value: Any) -> bool:
    """Whether a value is a choice: neither a number nor a list of numbers."""
    if isinstance(value, list | tuple):
        return any(_structural(entry) for entry in value)
    return isinstance(value, bool) or not isinstance(value, int | float)


def _shape(value: Any) -> Any:
    """The value with every number replaced by a placeholder."""
    if isinstance(value, list | tuple):
        return [_shape(entry) for entry in value]
    return value if _structural(value) else "number"
