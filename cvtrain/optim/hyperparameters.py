"""Hyperparameters as annotated fields of an optimizer: names, ranges and defaults in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from inspect import get_annotations, signature
from typing import Annotated, Any, ClassVar, TypeAlias, dataclass_transform, get_args, get_origin

from torch import Tensor

from cvtrain.gradients.stacked_number import require

REFUSED_SWITCHES = ("capturable", "differentiable")
"""Arguments of torch's optimizers that are accepted for compatibility, and rejected if True."""

SWITCHES = ("maximize", "foreach", "fused", *REFUSED_SWITCHES)
"""Arguments of torch's optimizers that only determine how a step is computed."""


@dataclass(frozen=True)
class Range:
    """Annotates a hyperparameter that must be finite with low ≤ number < below, for every
    member."""

    low: float = 0.0
    below: float = math.inf

    def __repr__(self) -> str:  # short in the signature that `help` shows
        return f"in [{self.low:g}, {self.below:g})"


Finite: TypeAlias = Annotated[float | Tensor, Range(low=-math.inf)]
Nonnegative: TypeAlias = Annotated[float | Tensor, Range()]
Fraction: TypeAlias = Annotated[float | Tensor, Range(below=1.0)]
Betas: TypeAlias = tuple[Fraction, Fraction]


def check_range(name: str, value: Any, annotation: Any) -> None:
    """Check a hyperparameter against the `Range` in its annotation; a tuple is checked entry by
    entry.

    Raises:
        ValueError: a number is out of range or NaN, or a tuple has another length.
    """
    if get_origin(annotation) is Annotated:
        (allowed,) = annotation.__metadata__
        require(name, value, low=allowed.low, below=allowed.below)
    elif get_origin(annotation) is tuple:
        entries = get_args(annotation)
        if not isinstance(value, tuple | list) or len(value) != len(entries):
            raise ValueError(f"{name}={value}: should be {len(entries)} numbers")
        for position, (entry, entry_annotation) in enumerate(zip(value, entries, strict=True)):
            check_range(f"{name}[{position}]", entry, entry_annotation)


@dataclass_transform(eq_default=False, field_specifiers=(field,))
class FieldsAsArguments:
    """Gives subclasses the constructor of a dataclass, with annotated fields as arguments.

    `inspect.signature` and type checkers see the arguments. They are not attributes of the class,
    where a default could be mistaken for the value in `param_groups`.

    Attributes:
        arguments: the annotation of every field, by name.
    """

    arguments: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        made: Any = dataclass(eq=False, repr=False)(cls)
        own = get_annotations(cls, eval_str=True)
        cls.arguments = {f.name: own.get(f.name, cls.arguments.get(f.name)) for f in fields(made)}
        # Resolved here: type hints of a subclass in another module could not be resolved later.
        taken = signature(cls).parameters
        made.__init__.__annotations__ = {name: cls.arguments[name] for name in taken}
        for name in cls.arguments.keys() & vars(cls).keys():
            delattr(cls, name)
