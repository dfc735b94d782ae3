"""Convert hyperparameters from one reading of the gradient to another with the same training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cvtrain.laws.frameworks import FrameworkConvention, framework_convention
from cvtrain.laws.table import (
    CLIP_EXPONENTS,
    Values,
    class_name,
    complete,
    law_of,
    rescaled_hyperparameters,
)
from cvtrain.process.errors import InputError

TORCH_CLIP_EPS = 1e-6
LINEAR = ("SGD", "ASGD")
"""Rules that are the same under `split` and `modulus`, since they are linear in the gradient."""


@dataclass(frozen=True)
class Side:
    """One side of a conversion: how its framework reads the gradient, and a factor on its loss.

    Raises:
        InputError: the factor is not positive and finite.
    """

    convention: FrameworkConvention
    loss_scale: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.loss_scale) and self.loss_scale > 0):
            raise InputError(f"loss scale {self.loss_scale}: should be a finite number above 0")


@dataclass(frozen=True)
class Conversion:
    """Hyperparameters at the target that train as given ones do at the source.

    Attributes:
        optimizer: its name in conf/optimizer.
        source, target: the two sides.
        mixed: whether the network has real parameters beside complex ones.
        source_values, source_clip: values at the source, completed by defaults; None: no clipping.
        complex_factor, real_factor: ratio of the gradients of complex and of real parameters,
            target to source.
        values, clip: values at the target; None if no values train in the same way.
        real_values: values at the target for real parameters, or None if they are the same.
        obstacles: why no values give the same weights; `values` are then the nearest ones.
        differences: differences between the rules of the two sides that no hyperparameter affects.
        condition: a further condition, or None.
    """

    optimizer: str
    source: Side
    target: Side
    mixed: bool
    source_values: Values
    source_clip: Values | None
    complex_factor: float
    real_factor: float
    values: Values | None
    clip: Values | None
    real_values: Values | None
    obstacles: tuple[str, ...]
    differences: tuple[str, ...]
    condition: str | None

    @property
    def exact(self) -> bool:
        """Whether both sides end with the same weights."""
        return not self.obstacles and not self.differences

    @property
    def semantics(self) -> str | None:
        """Semantics of the source's rules, or of the target's if the source has no rules."""
        return self.source.convention.semantics or self.target.convention.semantics

    def overrides(self) -> list[str]:
        """The values at the target as overrides for `cvtrain`, with the source's semantics."""
        if self.values is None:
            return []
        target = self.target.convention
        overrides = [f"optimizer={self.optimizer}"]
        overrides += [
            f"optimizer.{name}={_text(value)}"
            for name, value in self.values.items()
            if value is not None
        ]
        if self.semantics == "modulus":
            overrides.append("optimizer.semantics=modulus")
        if self.real_values is not None:
            overrides += [
                f"optimizer.real_parameters.{name}={_text(value)}"
                for name, value in self.real_values.items()
                if value != self.values[name]
            ]
        if self.clip is not None:
            overrides.append(f"clip={self.clip['kind']}")
            overrides += [f"clip.{n}={_text(v)}" for n, v in self.clip.items() if n != "kind"]
        overrides.append(f"objective.scale={_text(self.target.loss_scale)}")
        return [*overrides, f"convention={'wirtinger' if target.scale == 0.5 else 'pytorch'}"]


def convert(
    optimizer: str,
    hyperparameters: Mapping[str, Any],
    source: Side,
    target: Side,
    *,
    clip: Mapping[str, Any] | None = None,
    mixed: bool = False,
) -> Conversion:
    """Find the hyperparameters that train at the target as `hyperparameters` do at the source.

    Args:
        optimizer: its name in conf/optimizer.
        hyperparameters: some or all values at the source; the others have torch's defaults.
        source, target: the two sides.
        clip: `kind` (norm, modulus or split), `threshold` and for norm `eps` at the source.
        mixed: whether the network has real parameters beside complex ones. A convention acts only
            on the complex ones, so the two may need separate groups.

    Raises:
        InputError: the optimizer or a hyperparameter is unknown, or a value is out of range.
    """
    source_values = complete(optimizer, hyperparameters)
    source_clip = None if clip is None else _complete_clip(clip, source.convention)
    law = law_of(optimizer)
    real_factor = target.loss_scale / source.loss_scale
    complex_factor = real_factor * target.convention.scale / source.convention.scale
    split = mixed and complex_factor != real_factor
    values = real_values = target_clip = None
    if source.convention.conjugate or target.convention.conjugate:
        side = "source" if source.convention.conjugate else "target"
        obstacles = [
            f"the {side} steps along g*, the mirror image of the gradient, which is a mistake and"
            " not a convention: no hyperparameters turn it into descent; conjugate it"
        ]
    else:
        values = rescaled_hyperparameters(optimizer, source_values, complex_factor)
        if split and law.entrywise:
            real_values = rescaled_hyperparameters(optimizer, source_values, real_factor)
        if source_clip is not None:
            target_clip = _scaled_clip(source_clip, complex_factor)
        obstacles = _obstacles(
            optimizer, source_values, source_clip, complex_factor, real_factor, split
        )
    return Conversion(
        optimizer=optimizer.lower(),
        source=source,
        target=target,
        mixed=mixed,
        source_values=source_values,
        source_clip=source_clip,
        complex_factor=complex_factor,
        real_factor=real_factor,
        values=values,
        clip=target_clip,
        real_values=real_values if real_values != values else None,
        obstacles=tuple(obstacles),
        differences=_differences(
            "AMSGrad" if source_values.get("amsgrad") else class_name(optimizer),
            source_clip,
            source.convention,
            target.convention,
        ),
        condition=law.when or _accumulators(class_name(optimizer), values, real_values),
    )


def _obstacles(
    optimizer: str,
    values: Values,
    clip: Values | None,
    complex_factor: float,
    real_factor: float,
    split: bool,
) -> list[str]:
    """The reasons why no hyperparameters compensate these factors on the gradients."""
    law = law_of(optimizer)
    obstacles = []
    if law.obstacle is not None and (complex_factor != 1 or (split and real_factor != 1)):
        obstacles.append(law.obstacle)
    if split and not law.entrywise:
        obstacles.append(
            f"{class_name(optimizer)} has one line and one curvature for all parameters"
        )
    if complex_factor != real_factor and values.get("line_search_fn") is not None:
        obstacles.append(
            "a line search compares the gradient with the objective, which did not change"
        )
    if split and clip is not None:
        shared = "norm" if clip["kind"] == "norm" else "threshold"
        obstacles.append(
            f"complex and real parameters share one {shared} of clipping, and the gradients of the"
            " complex ones alone have changed"
        )
    return obstacles


def _differences(
    rule: str, clip: Values | None, source: FrameworkConvention, target: FrameworkConvention
) -> tuple[str, ...]:
    """Differences between the rules. A convention without rules of its own has those of the other
    side."""
    differences = []
    if source.name != target.name:
        differences += [
            f"{framework.name}: {framework.differences[rule]}"
            for framework in (source, target)
            if rule in framework.differences
        ]
        both = {source.semantics or target.semantics, target.semantics or source.semantics}
        if len(both) > 1 and rule not in LINEAR:
            differences.append(
                f"{source.name} has {source.semantics} and {target.name} {target.semantics}"
                " semantics: |g|² of the complex gradient against squares of Re and Im"
                " (cvtrain.optim has both)"
            )
    if clip is not None and clip["kind"] == "norm" and clip["eps"] != TORCH_CLIP_EPS:
        differences.append(
            "torch.nn.utils.clip_grad_norm_ adds 1e-6 to the norm, whatever its arguments: about"
            " 1e-6/‖g‖ off (cvtrain's clip.eps can be set)"
        )
    return tuple(differences)


def _accumulators(kind: str, values: Values | None, real: Values | None) -> str | None:
    """What torch.optim.Adagrad needs beside a separate group for real parameters, or None."""
    name = "initial_accumulator_value"
    if kind != "Adagrad" or values is None or real is None or values[name] == real[name]:
        return None
    return (
        f"in plain torch state[p]['sum'] of real parameters is filled with {real[name]:g} before"
        f" the first step: torch.optim.Adagrad fills it with the constructor's {name}, and ignores"
        " that of a group (cvtrain does it)"
    )


def _complete_clip(clip: Mapping[str, Any], source: FrameworkConvention) -> Values:
    kind = clip.get("kind")
    if kind not in ("norm", "modulus", "split"):
        raise InputError(f"clip.{kind}: should be clip.norm, clip.modulus or clip.split")
    values = {"kind": kind, "threshold": clip.get("threshold", 0.0)}
    if kind == "norm":
        values["eps"] = clip.get("eps", source.clip_eps)
    for name in CLIP_EXPONENTS:
        value = values.get(name, 0.0)
        low = 0 if name == "eps" else math.ulp(0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= low:
            raise InputError(f"clip.{name}={value}: should be a number above 0")
    return values


def _scaled_clip(clip: Values, c: float) -> Values:
    return clip | {n: clip[n] * c**exponent for n, exponent in CLIP_EXPONENTS.items() if n in clip}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{','.join(map(_text, value))}]"
    return repr(float(value)) if isinstance(value, float) else str(value)


def sides(
    source: str, target: str, source_scale: float = 1.0, target_scale: float = 1.0
) -> tuple[Side, Side]:
    """Both sides of a conversion, from the names of their conventions in `FRAMEWORKS`.

    Raises:
        InputError: a convention is unknown, or a scale is not positive.
    """
    return Side(framework_convention(source), source_scale), Side(
        framework_convention(target), target_scale
    )
