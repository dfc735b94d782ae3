"""Hyperparameters under one reading of the gradient, and those that do the same under another."""

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

TORCHS_CLIP_EPS = 1e-6
LINEAR = ("SGD", "ASGD")
"""Rules that are the same under `split` and `modulus`."""


@dataclass(frozen=True)
class Side:
    """What reaches an optimizer: a reading of the gradient, and the factor that the loss has.

    Raises:
        InputError: a factor that is not above 0.
    """

    reading: FrameworkConvention
    loss_scale: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.loss_scale) and self.loss_scale > 0):
            raise InputError(f"loss scale {self.loss_scale}: should be a finite number above 0")


@dataclass(frozen=True)
class Conversion:
    """Hyperparameters for the target that train as the given ones do at the source.

    Attributes:
        optimizer: its name in conf/optimizer.
        source, target: the two sides.
        mixed: whether the network has real parameters beside complex ones.
        given, clip_given: at the source, completed by the defaults; no clip: None.
        complex_factor, real_factor: what the gradients of complex and of real parameters have at
            the target, relative to the source.
        values, clip: for the target; None where there are none.
        real_values: for the real parameters, where they need others, or None.
        obstacles: why nothing gives the same weights; `values` then are the nearest.
        differences: how the rules of the two sides differ, which no hyperparameter mends.
        condition: what else has to hold.
    """

    optimizer: str
    source: Side
    target: Side
    mixed: bool
    given: Values
    clip_given: Values | None
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
        """Whether the two sides end with the same weights."""
        return not self.obstacles and not self.differences

    @property
    def semantics(self) -> str | None:
        """Those of the source's rules, or of the target's where it has none of its own."""
        return self.source.reading.semantics or self.target.reading.semantics

    def overrides(self) -> list[str]:
        """The target as overrides for `python -m cvtrain`, the source's rules included."""
        if self.values is None:
            return []
        target = self.target.reading
        lines = [f"optimizer={self.optimizer}"]
        lines += [f"optimizer.{name}={_text(v)}" for name, v in self._told(self.values).items()]
        if self.semantics == "modulus":
            lines.append("optimizer.semantics=modulus")
        if self.real_values is not None:
            different = {name: v for name, v in self.real_values.items() if v != self.values[name]}
            lines += [f"optimizer.real_parameters.{n}={_text(v)}" for n, v in different.items()]
        if self.clip is not None:
            lines.append(f"clip={self.clip['kind']}")
            lines += [f"clip.{n}={_text(v)}" for n, v in self.clip.items() if n != "kind"]
        lines.append(f"objective.scale={_text(self.target.loss_scale)}")
        return [*lines, f"convention={'wirtinger' if target.scale == 0.5 else 'pytorch'}"]

    def _told(self, values: Values) -> Values:
        """Those that differ from conf/optimizer's, or might."""
        return {name: v for name, v in values.items() if v is not None}


def convert(
    optimizer: str,
    hyperparameters: Mapping[str, Any],
    source: Side,
    target: Side,
    *,
    clip: Mapping[str, Any] | None = None,
    mixed: bool = False,
) -> Conversion:
    """What to use at the target to train as at the source.

    Args:
        optimizer: its name in conf/optimizer.
        hyperparameters: some or all, as used at the source; the others have torch's defaults.
        source, target: the two sides.
        clip: `kind` (norm, modulus or split), `threshold` and for norm `eps` at the source.
        mixed: whether the network has real parameters beside complex ones: a convention acts on the
            complex ones alone, which takes a group of parameters for either.

    Raises:
        InputError: no such optimizer or hyperparameter, or a value out of range.
    """
    given = complete(optimizer, hyperparameters)
    law, kind = law_of(optimizer), class_name(optimizer)
    real_factor = target.loss_scale / source.loss_scale
    complex_factor = real_factor * target.reading.scale / source.reading.scale
    split = mixed and complex_factor != real_factor
    clip_given = None if clip is None else _complete_clip(clip, source.reading)
    obstacles: list[str] = []

    if source.reading.conjugate or target.reading.conjugate:
        which = "source" if source.reading.conjugate else "target"
        obstacles.append(
            f"the {which} steps along g*, the mirror image of the gradient, which is a mistake and"
            " not a convention: no hyperparameters turn it into descent; conjugate it"
        )
        values = converted_clip = real_values = None
    else:
        values = rescaled_hyperparameters(optimizer, given, complex_factor)
        real_values = (
            rescaled_hyperparameters(optimizer, given, real_factor)
            if split and law.entrywise
            else None
        )
        converted_clip = None if clip_given is None else _scaled_clip(clip_given, complex_factor)
        if law.obstacle is not None and complex_factor != 1:
            obstacles.append(law.obstacle)
        if split and not law.entrywise:
            obstacles.append(f"{kind} has one line and one curvature for all parameters")
        if complex_factor != real_factor and given.get("line_search_fn") is not None:
            obstacles.append(
                "a line search compares the gradient with the objective, which did not change"
            )
        if split and clip_given is not None:
            how = "norm" if clip_given["kind"] == "norm" else "threshold"
            obstacles.append(
                f"complex and real parameters share one {how} of clipping, and the gradients of the"
                " complex ones alone have changed"
            )
    return Conversion(
        optimizer=optimizer.lower(),
        source=source,
        target=target,
        mixed=mixed,
        given=given,
        clip_given=clip_given,
        complex_factor=complex_factor,
        real_factor=real_factor,
        values=values,
        clip=converted_clip,
        real_values=real_values if real_values != values else None,
        obstacles=tuple(obstacles),
        differences=_differences(
            "AMSGrad" if given.get("amsgrad") else kind,
            clip_given,
            source.reading,
            target.reading,
        ),
        condition=law.when,
    )


def _differences(
    kind: str, clip: Values | None, source: FrameworkConvention, target: FrameworkConvention
) -> tuple[str, ...]:
    """Of the rules. A reading without rules of its own goes with those of the other side."""
    told = []
    if source.name != target.name:
        for side in (source, target):
            if kind in side.differences:
                told.append(f"{side.name}: {side.differences[kind]}")
        kinds = {source.semantics or target.semantics, target.semantics or source.semantics}
        if len(kinds) > 1 and kind not in LINEAR:
            told.append(
                f"{source.name} has {source.semantics} and {target.name} {target.semantics}"
                " semantics: |g|² of the complex gradient against squares of Re and Im"
                " (cvtrain.optim has both)"
            )
    if clip is not None and clip["kind"] == "norm" and clip["eps"] != TORCHS_CLIP_EPS:
        told.append(
            "torch.nn.utils.clip_grad_norm_ adds 1e-6 to the norm, whatever it is told: about"
            " 1e-6/‖g‖ off (cvtrain's clip.eps can be set)"
        )
    return tuple(told)


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
    """Both sides by the names of their readings."""
    return Side(framework_convention(source), source_scale), Side(
        framework_convention(target), target_scale
    )
