"""Types of data set arguments with their ranges, and a decorator that checks them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import wraps
from typing import Annotated, Literal, ParamSpec, TypeAlias, TypeVar

import torch
from pydantic import AfterValidator, ConfigDict, Field, ValidationError, validate_call
from pydantic_core import PydanticCustomError

from cvtrain.config.errors import explain_invalid
from cvtrain.process.limits import most_processes

P = ParamSpec("P")
R = TypeVar("R")


def _complex(dtype: torch.dtype) -> torch.dtype:
    if dtype not in (torch.complex64, torch.complex128):
        raise PydanticCustomError("dtype", "Input should be torch.complex64 or torch.complex128")
    return dtype


Seed: TypeAlias = Annotated[int, Field(ge=0, strict=True)]
Count: TypeAlias = Annotated[int, Field(ge=1, strict=True)]
Workers: TypeAlias = Annotated[int, Field(ge=0, le=most_processes(), strict=True)]
NonNegative: TypeAlias = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1, strict=True)]
Amplitude: TypeAlias = Literal["linear", "log"]
ComplexDtype: TypeAlias = Annotated[torch.dtype, AfterValidator(_complex)]


def checked_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator that checks the arguments of every call against the annotations of `function`.

    Raises:
        ValueError: an argument has a wrong type or is out of range; message ``name=value: should be
            X``.
    """
    validated = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(function)

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return validated(*args, **kwargs)
        except ValidationError as error:
            raise ValueError(explain_invalid(error, (), most=1)[0]) from None

    return checked


def check_names(argument: str, names: Sequence[str], known: Collection[str]) -> None:
    """Raise ValueError unless `names` are at least two different names from `known`."""
    if len(names) < 2 or len(set(names)) < len(names) or not set(names) <= set(known):
        raise ValueError(
            f"{argument}=[{', '.join(names)}]: should be two or more different ones of"
            f" {', '.join(known)}"
        )
